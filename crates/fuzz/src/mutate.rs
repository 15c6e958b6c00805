//! Makes new inputs of those that are there.

use fastrand::Rng;

/// Numbers at which sizes and counts change their mind.
const NUMBERS: [u64; 16] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// Texts of numbers, characters and ends of lines that readers stumble over.
const WORDS: [&[u8]; 17] = [
    b"0",
    b"-1",
    b"18446744073709551616",
    b"1e999",
    b"-9223372036854775808",
    b"00000000000000000000",
    b"0.1",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xc3",
    "\u{e9}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{1f600}".as_bytes(),
    "\u{130}".as_bytes(),
    b"  ",
];

/// Makes inputs of at most so many bytes.
pub struct Mutator {
    random: Rng,
    words: Vec<Vec<u8>>,
    longest: usize,
}

impl Mutator {
    pub fn new(mut words: Vec<Vec<u8>>, longest: usize, seed: u64) -> Mutator {
        words.extend(WORDS.map(<[u8]>::to_vec));
        Mutator {
            random: Rng::with_seed(seed),
            words,
            longest,
        }
    }

    /// Puts into `input` one of `corpus`, changed in one or more places.
    pub fn mutate(&mut self, corpus: &[Vec<u8>], input: &mut Vec<u8>) {
        input.clear();
        if let Some(base) = self.pick(corpus) {
            // What is too long is read from somewhere on.
            let start = match base.len() > self.longest && self.random.bool() {
                true => self.random.usize(..base.len() - self.longest),
                false => 0,
            };
            let end = base.len().min(start + self.longest);
            input.extend_from_slice(&base[start..end]);
        }
        for _ in 0..1 << self.random.u32(0..5) {
            self.change(corpus, input);
        }
        input.truncate(self.longest);
    }

    /// New inputs are the last ones, and are taken more often.
    fn pick<'c>(&mut self, corpus: &'c [Vec<u8>]) -> Option<&'c Vec<u8>> {
        if corpus.is_empty() {
            return None;
        }
        let least = match self.random.u8(..4) {
            0 => corpus.len() * 3 / 4,
            _ => 0,
        };
        corpus.get(self.random.usize(least..corpus.len()))
    }

    fn change(&mut self, corpus: &[Vec<u8>], input: &mut Vec<u8>) {
        match self.random.u8(..14) {
            0 => self.byte(input, |random, byte| byte ^ (1 << random.u8(..8))),
            1 => self.byte(input, |random, _| random.u8(..)),
            2 => self.byte(input, |random, byte| byte.wrapping_add(random.u8(..) | 1)),
            3 => self.number(input),
            4 => self.digits(input),
            5 | 6 => {
                let word = self.random.usize(..self.words.len());
                let word = self.words[word].clone();
                self.put(input, &word);
            }
            7 => {
                let range = self.range(input);
                input.drain(range);
            }
            8 => {
                let range = self.range(input);
                let copy = input[range].to_vec();
                self.put(input, &copy);
            }
            9 => {
                let range = self.range(input);
                let times = 1 << self.random.u32(0..10);
                let room = self.longest.saturating_sub(input.len()) / range.len().max(1);
                let copies = input[range.clone()].repeat(times.min(room));
                input.splice(range.start..range.start, copies);
            }
            10 => {
                let other = self.pick(corpus).cloned().unwrap_or_default();
                let range = self.range(&other);
                self.put(input, &other[range]);
            }
            11 => {
                let end = self.random.usize(..=input.len());
                input.truncate(end);
            }
            12 => {
                let (one, other) = (self.token(input), self.token(input));
                let other = input[other].to_vec();
                input.splice(one, other);
            }
            _ => {
                let other = self.pick(corpus).cloned().unwrap_or_default();
                let (one, other_range) = (self.token(input), self.token(&other));
                input.splice(one, other[other_range].iter().copied());
            }
        }
    }

    fn byte(&mut self, input: &mut [u8], change: impl Fn(&mut Rng, u8) -> u8) {
        if !input.is_empty() {
            let at = self.random.usize(..input.len());
            input[at] = change(&mut self.random, input[at]);
        }
    }

    /// Writes a number over one, two, four or eight bytes, in one order or the other.
    fn number(&mut self, input: &mut [u8]) {
        let width = 1 << self.random.u32(0..4);
        if input.len() < width {
            return;
        }
        let at = self.random.usize(..=input.len() - width);
        let number = NUMBERS[self.random.usize(..NUMBERS.len())];
        let bytes = match self.random.bool() {
            true => number.to_le_bytes(),
            false => (number << (64 - 8 * width)).to_be_bytes(),
        };
        input[at..at + width].copy_from_slice(&bytes[..width]);
    }

    /// Replaces a number that is written in digits.
    fn digits(&mut self, input: &mut Vec<u8>) {
        let from = self.random.usize(..=input.len());
        let Some(start) = input[from..].iter().position(u8::is_ascii_digit) else {
            return;
        };
        let start = from + start;
        let digits = input[start..].iter().take_while(|b| b.is_ascii_digit());
        let end = start + digits.count();
        let number = NUMBERS[self.random.usize(..NUMBERS.len())].to_string();
        input.splice(start..end, number.into_bytes());
    }

    /// Inserts `bytes`, or writes them over what is there.
    fn put(&mut self, input: &mut Vec<u8>, bytes: &[u8]) {
        let at = self.random.usize(..=input.len());
        let end = match self.random.bool() {
            true => at,
            false => input.len().min(at + bytes.len()),
        };
        input.splice(at..end, bytes.iter().copied());
    }

    /// A piece, mostly short.
    fn range(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.random.usize(..=input.len());
        let most = 1_usize << self.random.u32(0..10);
        let length = self.random.usize(..=most);
        start..input.len().min(start + length)
    }

    /// A word, a blank, a sign, or a whole line: what a person would exchange.
    fn token(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        if input.is_empty() {
            return 0..0;
        }
        let at = self.random.usize(..input.len());
        let is_line = self.random.u8(..4) == 0;
        let belongs = |byte: &u8| match is_line {
            true => *byte != b'\n',
            false => byte.is_ascii_alphanumeric() == input[at].is_ascii_alphanumeric(),
        };
        let start = input[..at].iter().rposition(|byte| !belongs(byte));
        let end = input[at..].iter().position(|byte| !belongs(byte));
        let start = start.map_or(0, |start| start + 1);
        start..end.map_or(input.len(), |end| at + end).max(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_differ_and_are_never_too_long() {
        let corpus = [b"a=1, b=[2, 3]\nline two".to_vec(), Vec::new()];
        let mut mutator = Mutator::new(vec![b"word".to_vec()], 40, 1);
        let mut inputs = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let mut input = Vec::new();
            mutator.mutate(&corpus, &mut input);
            assert!(input.len() <= 40);
            inputs.insert(input);
        }
        assert!(inputs.len() > 5_000, "{}", inputs.len());
    }
}
