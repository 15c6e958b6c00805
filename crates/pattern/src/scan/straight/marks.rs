//! Where the bytes stand that end the fields of a text: found in one pass, a bit for each byte of the text.

use super::block::Block;

/// How many bytes can be looked for, [`NOWHERE`] included.
pub(crate) const STOPS: usize = 4;
/// The number of a stop that is nowhere.
pub(super) const NOWHERE: u8 = STOPS as u8 - 1;
/// Bytes whose marks make a word.
pub(super) const WINDOW: usize = 64;
const WORDS: usize = 64;
/// The longest text that is marked: what is rare is not worth the memory. Behind its marks there is one word more, because a
/// search may begin at its end.
pub(crate) const TEXT_MAX: usize = (WORDS - 1) * WINDOW;

/// The marks of one text.
pub(crate) struct Marks {
    /// For each byte looked for a word for each 64 bytes of the text. Those of [`NOWHERE`] stay zero.
    words: [[u64; WORDS]; STOPS],
    /// How long the text is.
    len: usize,
}

impl Marks {
    pub fn new() -> Marks {
        Marks {
            words: [[0; WORDS]; STOPS],
            len: 0,
        }
    }

    /// How long the text is.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Marks the first `N` of `stops` in `text`. Says whether the text has no control characters, of which nothing is marked.
    ///
    /// # Panics
    /// When the text is longer than [`TEXT_MAX`].
    #[inline(always)]
    pub fn fill<B: Block, const N: usize>(&mut self, text: &[u8], stops: [u8; STOPS]) -> bool {
        assert!(text.len() <= TEXT_MAX);
        self.len = text.len();
        let (windows, rest) = text.as_chunks::<WINDOW>();
        let mut lowest = B::HIGHEST;
        for (index, window) in windows.iter().enumerate() {
            let block = B::new(window);
            lowest = lowest.min(block);
            self.mark::<B, N>(index, block, stops, 0);
        }
        let mut index = windows.len();
        if !rest.is_empty() {
            // The last window overlaps the one before, or what is before a short text: that leaves no marks.
            let beyond = WINDOW - rest.len();
            let block = match text.last_chunk() {
                Some(window) => B::new(window),
                None => {
                    let mut window = [u8::MAX; WINDOW];
                    window[beyond..].copy_from_slice(rest);
                    B::new(&window)
                }
            };
            lowest = lowest.min(block);
            self.mark::<B, N>(index, block, stops, beyond);
            index += 1;
        }
        for words in self.words.iter_mut().take(N) {
            words[index % WORDS] = 0;
        }
        !lowest.has_control()
    }

    /// Marks the bytes of `block`, of which the first `beyond` are not to be.
    #[inline(always)]
    fn mark<B: Block, const N: usize>(
        &mut self,
        index: usize,
        block: B,
        stops: [u8; STOPS],
        beyond: usize,
    ) {
        for (words, stop) in self.words.iter_mut().zip(stops).take(N) {
            words[index % WORDS] = block.equal(stop) >> beyond;
        }
    }

    /// Where the first mark of `stop` at or behind `at` stands. `at` is at most one more than the length of the text.
    #[inline(always)]
    pub fn next(&self, at: usize, stop: u8) -> Option<usize> {
        let words = &self.words[stop as usize % STOPS];
        self.next_in(at, |index| words[index])
    }

    /// The same for one of two stops.
    #[inline(always)]
    pub fn next_of_two(&self, at: usize, [one, other]: [u8; 2]) -> Option<usize> {
        let one = &self.words[one as usize % STOPS];
        let other = &self.words[other as usize % STOPS];
        self.next_in(at, |index| one[index] | other[index])
    }

    #[inline(always)]
    fn next_in(&self, at: usize, word: impl Fn(usize) -> u64) -> Option<usize> {
        let near = word(at / WINDOW % WORDS) >> (at % WINDOW);
        if near != 0 {
            return Some(at + near.trailing_zeros() as usize);
        }
        let mut index = at / WINDOW + 1;
        while index <= self.len / WINDOW {
            let word = word(index % WORDS);
            if word != 0 {
                return Some(index * WINDOW + word.trailing_zeros() as usize);
            }
            index += 1;
        }
        None
    }
}

impl std::fmt::Debug for Marks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Marks").field("len", &self.len).finish()
    }
}
