//! The set against what it stands for, and its stored forms.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::durability::SyncMode;

fn provenance(writer: u8, epoch: u64, ids: &[(u8, u64)]) -> Provenance {
    let ids = ids.iter().map(|(origin, position)| Id {
        origin: (*origin > 0).then_some([*origin; 16]),
        positions: *position..position + 1,
    });
    Provenance::of_ids([writer; 16], epoch, ids.collect())
}

fn admitted(delivered: &mut Delivered, sent: &Provenance) -> Vec<bool> {
    let repeats = delivered.admit(0, sent).unwrap();
    repeats.unwrap_or_else(|| vec![false; sent.len()])
}

fn add(delivered: &mut Delivered, sent: &Provenance) {
    delivered.add(0, &Claim::of(sent, |_| true));
}

#[test]
fn a_repeat_is_recognised_in_every_later_epoch() {
    let mut delivered = Delivered::default();
    let sent = provenance(1, 5, &[(1, 10), (1, 11), (2, 10), (0, 3)]);
    assert_eq!(admitted(&mut delivered, &sent), [false; 4]);
    add(&mut delivered, &sent);
    let again = provenance(1, 6, &[(1, 9), (1, 10), (2, 11), (0, 3), (2, 10)]);
    assert_eq!(
        admitted(&mut delivered, &again),
        [false, true, false, false, true]
    );
    let other = provenance(2, 6, &[(1, 10)]);
    assert_eq!(admitted(&mut delivered, &other), [false], "another writer");
    assert_eq!(delivered.admit(1, &again), Ok(None), "another destination");
}

#[test]
fn an_older_epoch_is_fenced() {
    let mut delivered = Delivered::default();
    add(&mut delivered, &provenance(1, 5, &[(1, 1)]));
    assert!(delivered.admit(0, &provenance(1, 6, &[(1, 2)])).is_ok());
    assert_eq!(
        delivered.admit(0, &provenance(1, 5, &[(1, 3)])),
        Err(Fenced { known: 6, sent: 5 })
    );
    assert!(delivered.admit(0, &provenance(2, 1, &[(1, 3)])).is_ok());
}

#[test]
fn a_record_that_is_there_in_part_is_no_repeat() {
    let mut delivered = Delivered::default();
    let of = |positions| Id {
        origin: Some([1; 16]),
        positions,
    };
    let sent = Provenance::of_ids([1; 16], 1, vec![of(0..10), of(10..20), of(30..40)]);
    add(&mut delivered, &sent);
    let joined = Provenance::of_ids(
        [1; 16],
        1,
        vec![of(5..20), of(10..31), of(15..25), of(0..20)],
    );
    assert_eq!(
        admitted(&mut delivered, &joined),
        [true, false, false, true]
    );
}

#[test]
fn what_could_not_be_kept_is_forgotten() {
    let mut delivered = Delivered::default();
    add(&mut delivered, &provenance(1, 1, &[(1, 0), (1, 1)]));
    let lost = Claim::of(&provenance(1, 1, &[(1, 2), (1, 3)]), |_| true);
    delivered.add(0, &lost);
    let kept = delivered.without([(0, &lost)].into_iter());
    delivered.remove(0, &lost);
    for mut one in [delivered, kept] {
        let again = provenance(1, 1, &[(1, 0), (1, 1), (1, 2), (1, 3)]);
        assert_eq!(admitted(&mut one, &again), [true, true, false, false]);
    }
}

#[test]
fn sources_that_were_used_least_recently_go_first() {
    let mut delivered = Delivered::default();
    let sent = |number: usize| {
        let mut origin = [1; 16];
        origin[..8].copy_from_slice(&number.to_le_bytes());
        let id = Id {
            origin: Some(origin),
            positions: 0..1,
        };
        Provenance::of_ids([1; 16], 1, vec![id])
    };
    for number in 0..=SOURCES {
        add(&mut delivered, &sent(number));
        // The first one is used all the time.
        add(&mut delivered, &sent(0));
    }
    let count = delivered.writers[&[1; 16]].sources.len();
    assert!((SOURCES / 8 * 7..=SOURCES).contains(&count), "{count}");
    let seen = [0, 1, SOURCES].map(|number| admitted(&mut delivered, &sent(number))[0]);
    assert_eq!(seen, [true, false, true]);
}

#[test]
fn all_stretches_together_are_bounded() {
    let mut delivered = Delivered::default();
    for origin in 1..=10 {
        let gaps: Vec<(u8, u64)> = (0..100).map(|gap| (origin, gap * 2)).collect();
        add(&mut delivered, &provenance(1, 1, &gaps));
    }
    delivered.keep_within(1000);
    assert_eq!(delivered.writers[&[1; 16]].sources.len(), 10);
    delivered.keep_within(999);
    let mut left = |origin| admitted(&mut delivered, &provenance(1, 1, &[(origin, 0)]))[0];
    assert_eq!([1, 6, 7, 10].map(&mut left), [false, false, true, true]);
}

#[test]
fn it_is_stored_and_read() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        Delivered::load(folder.path()).unwrap(),
        (Delivered::default(), vec![])
    );
    let mut delivered = Delivered::default();
    add(&mut delivered, &provenance(1, 7, &[(1, 4), (2, 9)]));
    add(&mut delivered, &provenance(2, 8, &[(1, 4)]));
    delivered.add(3, &Claim::of(&provenance(2, 8, &[(1, 5)]), |_| true));
    delivered
        .store(folder.path(), &[17, 4], SyncMode::Full)
        .unwrap();
    assert_eq!(
        Delivered::load(folder.path()).unwrap(),
        (delivered, vec![17, 4])
    );
    let file = folder.path().join("delivered");
    let bytes = std::fs::read(&file).unwrap();
    for (at, flip) in [(4, 1), (bytes.len() / 2, 0x80), (bytes.len() - 1, 1)] {
        let mut bytes = bytes.clone();
        bytes[at] ^= flip;
        std::fs::write(&file, bytes).unwrap();
        assert!(Delivered::load(folder.path()).is_err(), "{at}");
    }
    std::fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    assert!(Delivered::load(folder.path()).is_err());
}

/// The bytes of version 1, which later versions have to go on reading.
#[test]
fn version_1_of_a_claim_is_this() {
    let claim = Claim::of(&provenance(1, 5, &[(2, 8), (2, 9), (2, 3)]), |_| true);
    let mut expected = vec![1; 16];
    expected.extend([5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    expected.extend([2; 16]);
    expected.extend([2, 0, 0, 0]);
    for number in [8_u64, 10, 3, 4] {
        expected.extend(number.to_le_bytes());
    }
    assert_eq!(claim.encode(), expected);
    assert_eq!(Claim::decode(&expected), Some(claim));
    for end in 0..expected.len() {
        assert_eq!(Claim::decode(&expected[..end]), None, "{end}");
    }
}

proptest! {
    /// Whatever is sent, delivered in part and sent again: exactly what was delivered is a repeat.
    #[test]
    fn it_is_what_was_delivered(
        requests in proptest::collection::vec(
            (proptest::collection::vec((0_u8..3, 0_u64..30), 1..12), any::<u16>()),
            1..30,
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut delivered, mut model) = (Delivered::default(), HashSet::new());
        for (epoch, (ids, kept)) in requests.into_iter().enumerate() {
            let sent = provenance(1, epoch as u64, &ids);
            let repeats = admitted(&mut delivered, &sent);
            let expected: Vec<bool> = ids.iter().map(|id| model.contains(id)).collect();
            prop_assert_eq!(&repeats, &expected);
            let is_kept = |index: usize| !repeats[index] && kept >> (index % 16) & 1 == 1;
            let claim = Claim::of(&sent, is_kept);
            delivered.add(0, &Claim::decode(&claim.encode()).unwrap());
            let new = ids.iter().enumerate().filter(|(index, _)| is_kept(*index));
            model.extend(new.map(|(_, id)| *id).filter(|(origin, _)| *origin > 0));
            if kept % 5 == 0 {
                delivered.store(folder.path(), &[], SyncMode::Normal).unwrap();
                delivered = Delivered::load(folder.path()).unwrap().0;
            }
        }
    }
}
