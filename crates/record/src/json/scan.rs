//! Finds the bytes that matter in JSON text, many at a time.

/// How many bytes one block has.
pub(super) const BLOCK: usize = 16;
/// Bytes that are looked at together.
pub(super) type Block = [u8; BLOCK];

/// How many bytes one window has: one for each bit of its marks.
pub(super) const WINDOW: usize = 64;

#[cfg(target_arch = "x86_64")]
use sse2 as machine;
#[cfg(not(target_arch = "x86_64"))]
use swar as machine;

/// Marks the quotes and backslashes in the window at `at`: bit 0 is its first byte. Beyond the end of `space` there are
/// none.
#[inline(always)]
pub(super) fn quotes(space: &[u8], at: usize) -> u64 {
    let rest = space.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(window) => window_of(window, machine::quotes),
        None => quotes_at_end(rest),
    }
}

#[cold]
#[inline(never)]
fn quotes_at_end(rest: &[u8]) -> u64 {
    let mut window = [0; WINDOW];
    window[..rest.len()].copy_from_slice(rest);
    window_of(&window, machine::quotes)
}

#[inline(always)]
fn window_of(window: &[u8; WINDOW], mark: impl Fn(&Block) -> u32) -> u64 {
    let (blocks, _) = window.as_chunks::<BLOCK>();
    blocks
        .iter()
        .rev()
        .fold(0, |marks, block| marks << BLOCK | u64::from(mark(block)))
}

/// The block at `at`, unless `space` ends inside of it.
#[inline(always)]
pub(super) fn block_at(space: &[u8], at: usize) -> Option<&Block> {
    // The end of the last block stays the same while a text is passed, so that one comparison is left for each block.
    let is_whole = space.len() >= BLOCK && at <= space.len() - BLOCK;
    // SAFETY: all bytes of the block lie in `space`.
    is_whole.then(|| unsafe { &*space.as_ptr().add(at).cast::<Block>() })
}

/// Whether `len` bytes at `at` of `space` are those at `other_at` of `other`, behind which there is a block more.
#[inline(always)]
pub(super) fn is_equal(
    (space, at): (&[u8], usize),
    (other, other_at): (&[u8], usize),
    len: usize,
) -> bool {
    match (block_at(space, at), block_at(other, other_at)) {
        (Some(one), Some(two)) if len <= BLOCK => {
            machine::equal(one, two) | u32::MAX << len == u32::MAX
        }
        _ => space[at..at + len] == other[other_at..other_at + len],
    }
}

/// Marks the quotes and backslashes in a block.
#[inline(always)]
pub(super) fn block_quotes(block: &Block) -> u32 {
    machine::quotes(block)
}

/// Marks the bytes that are the same in both blocks.
#[inline(always)]
pub(super) fn block_equal(one: &Block, other: &Block) -> u32 {
    machine::equal(one, other)
}

/// Marks the bytes of a block that may not stand for themselves in a JSON string: `"`, `\`, controls, 0x7f, and
/// everything that is not ASCII.
#[inline(always)]
pub(super) fn to_escape(block: &Block) -> u32 {
    machine::to_escape(block)
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::*;

    use super::Block;

    #[inline(always)]
    fn load(block: &Block) -> __m128i {
        // SAFETY: a block has the sixteen bytes that are loaded, and SSE2 belongs to every x86-64.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

    #[inline(always)]
    pub fn quotes(block: &Block) -> u32 {
        let bytes = load(block);
        // SAFETY: SSE2 belongs to every x86-64.
        unsafe {
            let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            _mm_movemask_epi8(_mm_or_si128(quote, backslash)) as u32
        }
    }

    #[inline(always)]
    pub fn to_escape(block: &Block) -> u32 {
        let bytes = load(block);
        // SAFETY: SSE2 belongs to every x86-64.
        unsafe {
            let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            // One more makes a negative number of 0x7f, and of the bytes above it zero or a negative one, too.
            let next = _mm_add_epi8(bytes, _mm_set1_epi8(1));
            let outside = _mm_cmplt_epi8(next, _mm_set1_epi8(0x21));
            _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), outside)) as u32
        }
    }

    /// Marks the bytes that are the same in both.
    #[inline(always)]
    pub fn equal(one: &Block, other: &Block) -> u32 {
        let (one, other) = (load(one), load(other));
        // SAFETY: SSE2 belongs to every x86-64.
        unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(one, other)) as u32 }
    }
}

/// The same eight bytes at a time in an ordinary register, for other processors.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod swar {
    use super::Block;

    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    const LOWS: u64 = !HIGHS;

    /// The high bit of each byte that equals `byte`.
    #[inline(always)]
    fn equal_bytes(bytes: u64, byte: u8) -> u64 {
        let zero = bytes ^ (ONES * u64::from(byte));
        !(((zero & LOWS) + LOWS) | zero) & HIGHS
    }

    /// The high bit of each byte below 0x20.
    #[inline(always)]
    fn control(bytes: u64) -> u64 {
        !(((bytes & LOWS) + ONES * 0x60) | bytes) & HIGHS
    }

    /// Gathers the high bits.
    #[inline(always)]
    fn gather(highs: u64) -> u32 {
        ((highs >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
    }

    #[inline(always)]
    fn halves(block: &Block, mark: impl Fn(u64) -> u64) -> u32 {
        let (halves, _) = block.as_chunks::<8>();
        let [low, high] = [halves[0], halves[1]].map(|half| gather(mark(u64::from_le_bytes(half))));
        low | high << 8
    }

    #[inline(always)]
    pub fn equal(one: &Block, other: &Block) -> u32 {
        let mut differences = [0; 16];
        for (difference, (one, other)) in differences.iter_mut().zip(one.iter().zip(other)) {
            *difference = one ^ other;
        }
        halves(&differences, |bytes| equal_bytes(bytes, 0))
    }

    #[inline(always)]
    pub fn quotes(block: &Block) -> u32 {
        halves(block, |bytes| {
            equal_bytes(bytes, b'"') | equal_bytes(bytes, b'\\')
        })
    }

    #[inline(always)]
    pub fn to_escape(block: &Block) -> u32 {
        halves(block, |bytes| {
            let named =
                equal_bytes(bytes, b'"') | equal_bytes(bytes, b'\\') | equal_bytes(bytes, 0x7f);
            named | control(bytes) | (bytes & HIGHS)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(block: &Block) {
        let mut other = *block;
        other[3] ^= 0x80;
        other[15] = b'x';
        let pairs = block.iter().zip(&other).rev();
        let same = pairs.fold(0, |marks, (one, two)| marks << 1 | u32::from(one == two));
        assert_eq!(swar::equal(block, &other), same, "{block:?}");
        assert_eq!(machine::equal(block, &other), same, "{block:?}");
        let expected = |wanted: fn(u8) -> bool| {
            block
                .iter()
                .rev()
                .fold(0, |marks, &byte| marks << 1 | u32::from(wanted(byte)))
        };
        let quoted = expected(|byte| matches!(byte, b'"' | b'\\'));
        let escaped = expected(|byte| matches!(byte, b'"' | b'\\' | ..0x20 | 0x7f..));
        assert_eq!(swar::quotes(block), quoted, "{block:?}");
        assert_eq!(machine::quotes(block), quoted, "{block:?}");
        assert_eq!(swar::to_escape(block), escaped, "{block:?}");
        assert_eq!(machine::to_escape(block), escaped, "{block:?}");
    }

    #[test]
    fn every_byte_at_every_place() {
        for at in 0..BLOCK {
            for byte in 0..=255 {
                for filler in [b' ', b'~', b'#', b'['] {
                    let mut block = [filler; BLOCK];
                    block[at] = byte;
                    check(&block);
                }
            }
        }
    }

    #[test]
    fn windows_reach_beyond_the_end() {
        let text = format!("{}\"{}\\", "a".repeat(63), "b".repeat(20));
        assert_eq!(quotes(text.as_bytes(), 0), 1 << 63);
        assert_eq!(quotes(text.as_bytes(), 60), 1 << 3 | 1 << 24);
        assert_eq!(quotes(text.as_bytes(), 84), 1);
        assert_eq!(quotes(text.as_bytes(), 85), 0);
        assert_eq!(quotes(text.as_bytes(), 1000), 0);
    }

    proptest! {
        #[test]
        fn any_block(block: Block) {
            check(&block);
        }

        #[test]
        fn equal_texts(one in "[ab]{0,40}", other in "[ab]{0,40}", at in 0..8_usize, len in 0..24_usize) {
            let padded = format!("{other}{}", " ".repeat(BLOCK));
            let len = len.min(one.len().saturating_sub(at)).min(other.len());
            let at = at.min(one.len());
            let found = is_equal((one.as_bytes(), at), (padded.as_bytes(), 0), len);
            prop_assert_eq!(found, one[at..at + len] == other[..len]);
        }

        #[test]
        fn blocks_of_neighbours(block in prop::array::uniform16(prop::sample::select(&b"!\"#[\\]\x1f \x7e\x7f\x80"[..]))) {
            check(&block);
        }
    }
}
