//! Finds quotes and backslashes 32 bytes at a time, with AVX2 where the processor has it.

use super::scan::{self, BLOCK};

/// How many bytes are looked at together: one for each bit of their marks.
pub(super) const WINDOW: usize = 32;
/// These bytes.
pub(super) type Window = [u8; WINDOW];

/// Where the quotes and the backslashes of a window stand: bit 0 is its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    pub quotes: u32,
    pub backslashes: u32,
}

/// What a processor can do with many bytes at once.
pub(super) trait Machine {
    /// The marks of a window.
    fn marks(window: &Window) -> Marks;
    /// Marks the bytes that may not stand for themselves in a JSON string, as [`scan::to_escape`] does.
    fn to_escape(window: &Window) -> u32;
    /// Marks the bytes that are the same in both.
    fn equal(one: &Window, other: &Window) -> u32;
}

/// What every processor can do.
pub(super) struct Portable;

impl Machine for Portable {
    #[inline(always)]
    fn marks(window: &Window) -> Marks {
        Marks {
            quotes: Portable::equal(window, &[b'"'; WINDOW]),
            backslashes: Portable::equal(window, &[b'\\'; WINDOW]),
        }
    }

    #[inline(always)]
    fn to_escape(window: &Window) -> u32 {
        let (blocks, _) = window.as_chunks::<BLOCK>();
        scan::to_escape(&blocks[0]) | scan::to_escape(&blocks[1]) << BLOCK
    }

    #[inline(always)]
    fn equal(one: &Window, other: &Window) -> u32 {
        let (ones, _) = one.as_chunks::<BLOCK>();
        let (others, _) = other.as_chunks::<BLOCK>();
        scan::block_equal(&ones[0], &others[0]) | scan::block_equal(&ones[1], &others[1]) << BLOCK
    }
}

/// Whether the processor has what [`Avx2`] and the functions compiled for it need.
pub(super) fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// AVX2, to be used only by functions that are compiled for it and called where [`has_avx2`].
#[cfg(target_arch = "x86_64")]
pub(super) struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Machine for Avx2 {
    #[inline(always)]
    fn marks(window: &Window) -> Marks {
        Marks {
            quotes: Avx2::equal(window, &[b'"'; WINDOW]),
            backslashes: Avx2::equal(window, &[b'\\'; WINDOW]),
        }
    }

    #[inline(always)]
    fn to_escape(window: &Window) -> u32 {
        use std::arch::x86_64::*;
        // SAFETY: a window has the bytes that are loaded, and the processor has AVX2.
        unsafe {
            let bytes = _mm256_loadu_si256(window.as_ptr().cast());
            let quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'"' as i8));
            let backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\\' as i8));
            // One more makes a negative number of 0x7f, and of the bytes above it zero or a negative one, too.
            let next = _mm256_add_epi8(bytes, _mm256_set1_epi8(1));
            let outside = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x21), next);
            let marks = _mm256_or_si256(_mm256_or_si256(quote, backslash), outside);
            _mm256_movemask_epi8(marks) as u32
        }
    }

    #[inline(always)]
    fn equal(one: &Window, other: &Window) -> u32 {
        use std::arch::x86_64::*;
        // SAFETY: both have the bytes that are loaded, and the processor has AVX2.
        unsafe {
            let one = _mm256_loadu_si256(one.as_ptr().cast());
            let other = _mm256_loadu_si256(other.as_ptr().cast());
            _mm256_movemask_epi8(_mm256_cmpeq_epi8(one, other)) as u32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check<M: Machine>(window: &Window, other: &Window) {
        let marks = |is_marked: &dyn Fn(usize) -> bool| {
            let places = (0..WINDOW).filter(|&place| is_marked(place));
            places.fold(0, |marks, place| marks | 1_u32 << place)
        };
        let expected = Marks {
            quotes: marks(&|place| window[place] == b'"'),
            backslashes: marks(&|place| window[place] == b'\\'),
        };
        assert_eq!(M::marks(window), expected);
        let others = |place: usize| matches!(window[place], b'"' | b'\\' | ..0x20 | 0x7f..);
        assert_eq!(M::to_escape(window), marks(&others));
        let same = marks(&|place| window[place] == other[place]);
        assert_eq!(M::equal(window, other), same);
    }

    fn window() -> impl Strategy<Value = Window> {
        prop::array::uniform32(prop::sample::select(
            &b"\"\\!#[]ab\xa2\xdc\0\x1f \x7e\x7f\x80\xff"[..],
        ))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn every_machine_marks_the_same(one in window(), other in window()) {
            check::<Portable>(&one, &other);
            #[cfg(target_arch = "x86_64")]
            if has_avx2() {
                check::<Avx2>(&one, &other);
            }
        }
    }
}
