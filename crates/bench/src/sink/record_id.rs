//! Ids in answers, as long as AWS's: they are most of what a router reads back.

use std::ops::Range;

/// Characters of a record id of Firehose.
const FIREHOSE: usize = 220;
/// Digits of a sequence number of Kinesis and of CloudWatch Logs.
const DIGITS: usize = 56;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Makes ids. They differ in their first characters; the rest is taken from a pool, which costs a copy and no more.
pub struct Ids {
    short: bool,
    next: u64,
    pool: Vec<u8>,
}

impl Ids {
    /// Ids of AWS's length, or short ones.
    pub fn new(short: bool, random: &mut fastrand::Rng) -> Ids {
        Ids {
            short,
            next: 0,
            pool: (0..4096).map(|_| ALPHABET[random.usize(..64)]).collect(),
        }
    }

    /// Appends a record id of Firehose.
    pub fn firehose(&mut self, out: &mut Vec<u8>) {
        self.next += 1;
        let range = self.number(16, out);
        if !self.short {
            let from = (self.next * 61 % (self.pool.len() - FIREHOSE) as u64) as usize;
            out.extend_from_slice(&self.pool[from..from + FIREHOSE - range.len()]);
        }
    }

    /// Appends a sequence number.
    pub fn sequence_number(&mut self, out: &mut Vec<u8>) {
        self.next += 1;
        if !self.short {
            out.extend_from_slice(
                &b"4961827364519283746501928374650192837465019283746501928374650192"[..DIGITS - 16],
            );
        }
        self.number(16, out);
    }

    fn number(&self, digits: usize, out: &mut Vec<u8>) -> Range<usize> {
        let (start, mut rest) = (out.len(), self.next);
        out.resize(start + digits, b'0');
        for digit in out[start..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        start..out.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_and_have_their_length() {
        for (short, lengths) in [(false, [FIREHOSE, DIGITS]), (true, [16, 16])] {
            let mut ids = Ids::new(short, &mut fastrand::Rng::with_seed(1));
            let mut seen = HashSet::new();
            for _ in 0..1000 {
                let (mut firehose, mut number) = (Vec::new(), Vec::new());
                ids.firehose(&mut firehose);
                ids.sequence_number(&mut number);
                assert_eq!([firehose.len(), number.len()], lengths);
                assert!(number.iter().all(u8::is_ascii_digit));
                assert!(seen.insert(firehose) && seen.insert(number));
            }
        }
    }
}
