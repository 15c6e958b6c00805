//! 64 bytes at a time, as wide as the processor can.

use super::marks::WINDOW;

/// The window of a text.
pub(crate) trait Block: Copy {
    /// A block of the highest byte.
    const HIGHEST: Self;

    /// The bytes of `window`.
    fn new(window: &[u8; WINDOW]) -> Self;

    /// A bit for each byte that equals `byte`.
    fn equal(self, byte: u8) -> u64;

    /// The lower one of each pair of bytes, or of those at other places: only what is lowest counts.
    fn min(self, other: Self) -> Self;

    /// Whether a byte is a control character of ASCII, other than the delete character.
    fn has_control(self) -> bool;
}

/// The last control character.
const LAST_CONTROL: u8 = 31;

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Sse2};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Block, LAST_CONTROL, WINDOW};

    /// For processors with AVX2 only.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2([__m256i; 2]);

    impl Block for Avx2 {
        // SAFETY: all bits may be set.
        const HIGHEST: Avx2 = unsafe { std::mem::transmute([u8::MAX; WINDOW]) };

        #[inline(always)]
        fn new(window: &[u8; WINDOW]) -> Avx2 {
            let start = window.as_ptr().cast::<__m256i>();
            // SAFETY: the window has so many bytes, and there is AVX2.
            unsafe { Avx2([_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))]) }
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            let [low, high] = self.0;
            // SAFETY: there is AVX2.
            unsafe {
                let byte = _mm256_set1_epi8(byte as i8);
                let low = _mm256_movemask_epi8(_mm256_cmpeq_epi8(low, byte)) as u32;
                let high = _mm256_movemask_epi8(_mm256_cmpeq_epi8(high, byte)) as u32;
                u64::from(low) | u64::from(high) << 32
            }
        }

        #[inline(always)]
        fn min(self, other: Avx2) -> Avx2 {
            let ([a, b], [c, d]) = (self.0, other.0);
            // SAFETY: there is AVX2.
            unsafe { Avx2([_mm256_min_epu8(a, c), _mm256_min_epu8(b, d)]) }
        }

        #[inline(always)]
        fn has_control(self) -> bool {
            // SAFETY: there is AVX2.
            unsafe {
                let lowest = _mm256_min_epu8(self.0[0], self.0[1]);
                let lower = _mm256_min_epu8(lowest, _mm256_set1_epi8(LAST_CONTROL as i8));
                _mm256_movemask_epi8(_mm256_cmpeq_epi8(lower, lowest)) != 0
            }
        }
    }

    /// For any processor.
    #[derive(Clone, Copy)]
    pub(crate) struct Sse2([__m128i; 4]);

    impl Block for Sse2 {
        // SAFETY: all bits may be set.
        const HIGHEST: Sse2 = unsafe { std::mem::transmute([u8::MAX; WINDOW]) };

        #[inline(always)]
        fn new(window: &[u8; WINDOW]) -> Sse2 {
            let start = window.as_ptr().cast::<__m128i>();
            // SAFETY: the window has so many bytes, and SSE2 is part of x86-64.
            unsafe {
                Sse2([
                    _mm_loadu_si128(start),
                    _mm_loadu_si128(start.add(1)),
                    _mm_loadu_si128(start.add(2)),
                    _mm_loadu_si128(start.add(3)),
                ])
            }
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            let [a, b, c, d] = self.0;
            // SAFETY: SSE2 is part of x86-64.
            unsafe {
                let byte = _mm_set1_epi8(byte as i8);
                let a = _mm_movemask_epi8(_mm_cmpeq_epi8(a, byte)) as u64;
                let b = _mm_movemask_epi8(_mm_cmpeq_epi8(b, byte)) as u64;
                let c = _mm_movemask_epi8(_mm_cmpeq_epi8(c, byte)) as u64;
                let d = _mm_movemask_epi8(_mm_cmpeq_epi8(d, byte)) as u64;
                a | b << 16 | c << 32 | d << 48
            }
        }

        #[inline(always)]
        fn min(self, other: Sse2) -> Sse2 {
            let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
            // SAFETY: SSE2 is part of x86-64.
            unsafe {
                Sse2([
                    _mm_min_epu8(a, e),
                    _mm_min_epu8(b, f),
                    _mm_min_epu8(c, g),
                    _mm_min_epu8(d, h),
                ])
            }
        }

        #[inline(always)]
        fn has_control(self) -> bool {
            let [a, b, c, d] = self.0;
            // SAFETY: SSE2 is part of x86-64.
            unsafe {
                let lowest = _mm_min_epu8(_mm_min_epu8(a, b), _mm_min_epu8(c, d));
                let lower = _mm_min_epu8(lowest, _mm_set1_epi8(LAST_CONTROL as i8));
                _mm_movemask_epi8(_mm_cmpeq_epi8(lower, lowest)) != 0
            }
        }
    }
}

/// Without any help from the processor.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[derive(Clone, Copy)]
pub(crate) struct Portable([u8; WINDOW]);

#[cfg(any(test, not(target_arch = "x86_64")))]
impl Block for Portable {
    const HIGHEST: Portable = Portable([u8::MAX; WINDOW]);

    #[inline(always)]
    fn new(window: &[u8; WINDOW]) -> Portable {
        Portable(*window)
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        let bit = |index: usize| u64::from(self.0[index] == byte) << index;
        (0..WINDOW).fold(0, |bits, index| bits | bit(index))
    }

    #[inline(always)]
    fn min(self, other: Portable) -> Portable {
        Portable(std::array::from_fn(|index| {
            self.0[index].min(other.0[index])
        }))
    }

    #[inline(always)]
    fn has_control(self) -> bool {
        self.0.iter().any(|&byte| byte <= LAST_CONTROL)
    }
}
