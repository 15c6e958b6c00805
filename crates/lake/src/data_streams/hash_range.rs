//! Which shard a record belongs to: shards share the 128-bit numbers that partition keys are hashed to.

use s3s::crypto::{Checksum as _, Md5};

/// The hash of a partition key: its MD5 as a number.
pub fn hash(partition_key: &str) -> u128 {
    u128::from_be_bytes(Md5::checksum(partition_key.as_bytes()))
}

/// The first and last hash of shard `index` of `count`; equal parts, the last of which takes the rest.
pub fn range(index: u32, count: u32) -> (u128, u128) {
    let step = step(count);
    let first = step.wrapping_mul(index.into());
    match index + 1 == count {
        true => (first, u128::MAX),
        false => (first, first + (step - 1)),
    }
}

/// The shard of `count` whose range has `hash`.
pub fn shard_of(hash: u128, count: u32) -> u32 {
    match count {
        // Its step would be one more than fits.
        1 => 0,
        _ => u32::try_from(hash / step(count)).map_or(count - 1, |index| index.min(count - 1)),
    }
}

/// How many hashes each shard has: 2^128 by `count`, rounded down; 0 for one shard, which has them all.
fn step(count: u32) -> u128 {
    let count = u128::from(count);
    match u128::MAX % count == count - 1 {
        true => (u128::MAX / count).wrapping_add(1),
        false => u128::MAX / count,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_those_of_kinesis() {
        let half = 170_141_183_460_469_231_731_687_303_715_884_105_728;
        let third = 113_427_455_640_312_821_154_458_202_477_256_070_485;
        for (index, count, expected) in [
            (0, 1, (0, u128::MAX)),
            (0, 2, (0, half - 1)),
            (1, 2, (half, u128::MAX)),
            (0, 3, (0, third - 1)),
            (2, 3, (2 * third, u128::MAX)),
        ] {
            assert_eq!(range(index, count), expected, "{index} of {count}");
        }
        // The MD5 of "a".
        assert_eq!(hash("a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }

    proptest! {
        #[test]
        fn every_hash_is_in_the_range_of_its_shard(hash: u128, count in 1_u32..600) {
            let shard = shard_of(hash, count);
            let (first, last) = range(shard, count);
            prop_assert!(shard < count && first <= hash && hash <= last);
        }

        #[test]
        fn ranges_follow_each_other(count in 2_u32..600, index in 0_u32..599) {
            prop_assume!(index + 1 < count);
            prop_assert_eq!(range(index, count).1 + 1, range(index + 1, count).0);
        }
    }
}
