//! Base64 (RFC 4648 §4) of lines: short texts by the million, which is where a general encoder spends as much on the ends of
//! a text as on what lies between.

use base64_simd::STANDARD;

/// How many bytes `len` bytes become.
#[inline]
pub fn encoded_length(len: usize) -> usize {
    len.div_ceil(3) * 4
}

/// Appends `data` in base64, with padding.
#[inline]
pub fn append(data: &[u8], out: &mut Vec<u8>) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { avx2::append(data, out) };
    }
    STANDARD.encode_append(data, out);
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::encoded_length;

    /// So many bytes become [`STEP_OUT`] in one step.
    const STEP: usize = 24;
    const STEP_OUT: usize = 32;
    /// So many bytes are read for it: two times sixteen, of which the last four are not used.
    const STEP_READ: usize = 28;

    /// By what is left over of a last group of three bytes, what stays of its four characters, and what they get.
    const ENDS: [(u32, u32); 3] = [
        (u32::MAX, 0),
        (0xffff, u32::from_le_bytes(*b"\0\0==")),
        (0x00ff_ffff, u32::from_le_bytes(*b"\0\0\0=")),
    ];

    #[target_feature(enable = "avx2")]
    pub fn append(data: &[u8], out: &mut Vec<u8>) {
        let encoded = encoded_length(data.len());
        if encoded == 0 {
            return;
        }
        // Steps write whole vectors: the last one beyond what there is to write.
        out.reserve(encoded + STEP_OUT);
        let start = out.len();
        let (mut from, mut left) = (data.as_ptr(), data.len());
        // SAFETY: each step reads what is left of `data`, or of the copy of its end, and writes to where as much was
        // reserved.
        unsafe {
            let mut to = out.as_mut_ptr().add(start);
            while left >= STEP_READ {
                step(from, to);
                (from, to, left) = (from.add(STEP), to.add(STEP_OUT), left - STEP);
            }
            let end = end_of(data, left);
            let mut from = end.as_ptr().add(END - left);
            while left > 0 {
                step(from, to);
                (from, to, left) = (from.add(STEP), to.add(STEP_OUT), left.saturating_sub(STEP));
            }
            let last = out.as_mut_ptr().add(start + encoded - 4).cast::<u32>();
            let (kept, padding) = ENDS[data.len() % 3];
            last.write_unaligned((last.read_unaligned() & kept.to_le()) | padding.to_le());
            out.set_len(start + encoded);
        }
    }

    /// Bytes of which the last ones that are no whole step are copied together: how many they are cannot be foreseen.
    const END: usize = 32;

    /// The last `left` bytes of `data`, fewer than [`STEP_READ`], before [`END`], and zeros behind it.
    #[inline(always)]
    fn end_of(data: &[u8], left: usize) -> [u8; END + STEP + STEP_READ] {
        let mut end = [0; END + STEP + STEP_READ];
        match data.last_chunk::<END>() {
            Some(last) => end[..END].copy_from_slice(last),
            None => end[END - left..END].copy_from_slice(&data[data.len() - left..]),
        }
        end
    }

    /// Encodes [`STEP`] bytes.
    ///
    /// # Safety
    /// [`STEP_READ`] bytes are read, [`STEP_OUT`] are written.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn step(from: *const u8, to: *mut u8) {
        // SAFETY: as promised by the caller.
        let (low, high) = unsafe {
            (
                _mm_loadu_si128(from.cast()),
                _mm_loadu_si128(from.add(STEP / 2).cast()),
            )
        };
        let characters = characters(indexes(_mm256_set_m128i(high, low)));
        // SAFETY: as promised by the caller.
        unsafe { _mm256_storeu_si256(to.cast(), characters) };
    }

    /// The first twelve bytes of each half as sixteen numbers of six bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn indexes(bytes: __m256i) -> __m256i {
        // Each three bytes to four, so that each two hold two of the numbers, the first one on top.
        let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10,
        ));
        let spread = _mm256_shuffle_epi8(bytes, order);
        // A product moves the bits of each two bytes by as many places as are needed there.
        let upper = _mm256_and_si256(spread, _mm256_set1_epi32(0x0fc0_fc00));
        let upper = _mm256_mulhi_epu16(upper, _mm256_set1_epi32(0x0400_0040));
        let lower = _mm256_and_si256(spread, _mm256_set1_epi32(0x003f_03f0));
        let lower = _mm256_mullo_epi16(lower, _mm256_set1_epi32(0x0100_0010));
        _mm256_or_si256(upper, lower)
    }

    /// The characters of numbers of six bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn characters(indexes: __m256i) -> __m256i {
        // How far a character is from its number: `a`…, ten digits, `+`, `/`, and `A`….
        const DIGIT: i8 = b'0' as i8 - 52;
        let distances = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            b'a' as i8 - 26,
            DIGIT,
            DIGIT,
            DIGIT,
            DIGIT,
            DIGIT,
            DIGIT,
            DIGIT,
            DIGIT,
            DIGIT,
            DIGIT,
            b'+' as i8 - 62,
            b'/' as i8 - 63,
            b'A' as i8,
            0,
            0,
        ));
        let range = _mm256_subs_epu8(indexes, _mm256_set1_epi8(51));
        let is_capital = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), indexes);
        let range = _mm256_or_si256(range, _mm256_and_si256(is_capital, _mm256_set1_epi8(13)));
        _mm256_add_epi8(indexes, _mm256_shuffle_epi8(distances, range))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(before: &[u8], data: &[u8]) {
        let (mut out, mut expected) = (before.to_vec(), before.to_vec());
        append(data, &mut out);
        STANDARD.encode_append(data, &mut expected);
        assert_eq!(out, expected, "{data:?}");
        assert_eq!(out.len() - before.len(), encoded_length(data.len()));
    }

    #[test]
    fn every_length_and_every_character() {
        let bytes: Vec<u8> = (0..400).map(|at| (at * 37 % 251) as u8).collect();
        for len in 0..bytes.len() {
            check(b"", &bytes[..len]);
            check(b"{\"Data\":\"", &bytes[bytes.len() - len..]);
        }
        for number in 0..=u16::MAX {
            let [one, two] = number.to_be_bytes();
            check(b"", &[one, two, one]);
        }
    }

    proptest! {
        #[test]
        fn any_bytes(before: Vec<u8>, data in prop::collection::vec(any::<u8>(), 0..2000)) {
            check(&before, &data);
        }
    }
}
