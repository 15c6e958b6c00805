//! Room at the end of a vector, filled in whole blocks.

use std::ops::Range;

use super::scan::{self, BLOCK, Block};

/// So much more than what is written must be reserved, because whole blocks are written.
const MARGIN: usize = 2 * BLOCK;

/// The end of a vector while many small pieces are appended. What [`Room::reserve`] has made room for is then written
/// without asking for each piece again, which would cost more than most pieces do.
pub(super) struct Room<'a> {
    out: &'a mut Vec<u8>,
    /// Where the next byte goes: within the vector's memory, or at its end.
    next: *mut u8,
}

impl<'a> Room<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Room<'a> {
        let next = out.as_mut_ptr_range().end;
        Room { out, next }
    }

    /// How many bytes the vector holds, with what was written.
    #[inline(always)]
    fn len(&self) -> usize {
        self.next as usize - self.out.as_ptr() as usize
    }

    /// Makes room for `bytes` more, and for the blocks with which they are written.
    #[inline(always)]
    pub fn reserve(&mut self, bytes: usize) {
        if self.out.capacity() - self.len() < bytes + MARGIN {
            self.grow(bytes + MARGIN);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, bytes: usize) {
        self.lend(|out| out.reserve(bytes));
    }

    /// Lets `write` append to the vector.
    #[inline]
    pub fn lend<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.give_back();
        let result = write(self.out);
        self.next = self.out.as_mut_ptr_range().end;
        result
    }

    /// The vector holds what was written.
    #[inline(always)]
    fn give_back(&mut self) {
        let len = self.len();
        debug_assert!(len <= self.out.capacity());
        // SAFETY: every byte up to `next` was written, within what was reserved.
        unsafe { self.out.set_len(len) };
    }

    /// Appends the bytes `range` of `space`.
    ///
    /// # Safety
    /// Room for them must have been reserved and not used.
    #[inline(always)]
    pub unsafe fn copy(&mut self, space: &[u8], range: Range<usize>) {
        assert!(range.end <= space.len());
        let mut at = range.start;
        while at < range.end {
            let Some(block) = scan::block_at(space, at) else {
                // SAFETY: as promised by the caller.
                return unsafe { self.copy_last(&space[at..range.end]) };
            };
            // SAFETY: at most the margin is written beyond what was reserved.
            unsafe { self.put_block(block, BLOCK) };
            at += BLOCK;
        }
        // SAFETY: back to what stands behind the last byte of the range.
        self.next = unsafe { self.next.sub(at - range.end) };
    }

    /// Appends the bytes `range` of `space` up to the first that may not stand for itself in a JSON string: how many.
    ///
    /// # Safety
    /// Room for all of them must have been reserved and not used.
    #[inline(always)]
    pub unsafe fn copy_clean(&mut self, space: &[u8], range: Range<usize>) -> usize {
        assert!(range.end <= space.len());
        let mut at = range.start;
        while at < range.end {
            let Some(&block) = scan::block_at(space, at) else {
                // SAFETY: as promised by the caller.
                let last = unsafe { self.copy_last_clean(&space[at..range.end]) };
                return at - range.start + last;
            };
            let marks = scan::to_escape(&block);
            // The first mark may stand behind the range.
            let clean = match marks {
                0 => BLOCK,
                _ => marks.trailing_zeros() as usize,
            };
            let taken = clean.min(range.end - at);
            // SAFETY: at most the margin is written beyond what was reserved.
            unsafe { self.put_block(&block, taken) };
            at += taken;
            if marks != 0 {
                break;
            }
        }
        at - range.start
    }

    /// Appends `bytes`.
    ///
    /// # Safety
    /// As for [`Room::copy`].
    #[cold]
    #[inline(never)]
    unsafe fn copy_last(&mut self, bytes: &[u8]) {
        // SAFETY: as promised by the caller.
        unsafe {
            self.next
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            self.next = self.next.add(bytes.len());
        }
    }

    /// # Safety
    /// As for [`Room::copy_clean`].
    #[cold]
    #[inline(never)]
    unsafe fn copy_last_clean(&mut self, bytes: &[u8]) -> usize {
        let mut block = [b'"'; BLOCK];
        block[..bytes.len()].copy_from_slice(bytes);
        let clean = (scan::to_escape(&block) | 1 << BLOCK).trailing_zeros() as usize;
        // SAFETY: as promised by the caller.
        unsafe { self.copy_last(&bytes[..clean.min(bytes.len())]) };
        clean.min(bytes.len())
    }

    /// Appends the first `len` bytes of a block.
    ///
    /// # Safety
    /// Room for as many must have been reserved and not used.
    #[inline(always)]
    pub unsafe fn put_block(&mut self, block: &Block, len: usize) {
        // SAFETY: as promised by the caller, and the margin pays for the rest of the block.
        unsafe {
            self.next.cast::<Block>().write_unaligned(*block);
            self.next = self.next.add(len);
        }
    }

    /// Appends a byte.
    ///
    /// # Safety
    /// Room for it must have been reserved and not used.
    #[inline(always)]
    pub unsafe fn put_byte(&mut self, byte: u8) {
        // SAFETY: as promised by the caller.
        unsafe {
            self.next.write(byte);
            self.next = self.next.add(1);
        }
    }

    /// Appends the first `len` of eight `bytes`.
    ///
    /// # Safety
    /// Room for as many must have been reserved and not used; the margin pays for the other bytes, and for one call after
    /// the last byte that was reserved.
    #[inline(always)]
    pub unsafe fn put(&mut self, bytes: [u8; 8], len: usize) {
        // SAFETY: as promised by the caller.
        unsafe {
            self.next.cast::<[u8; 8]>().write_unaligned(bytes);
            self.next = self.next.add(len);
        }
    }
}

impl Drop for Room<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_there(
            space in prop::collection::vec(prop::sample::select(&b"abcdefgh\"\\\n\xc3 "[..]), 0..100),
            pieces in prop::collection::vec((any::<prop::sample::Index>(), 0..50_usize, any::<bool>()), 0..20),
        ) {
            let (mut out, mut expected) = (b"before".to_vec(), b"before".to_vec());
            let mut room = Room::new(&mut out);
            for (start, len, is_clean) in pieces {
                let start = start.index(space.len() + 1);
                let end = space.len().min(start + len);
                room.reserve(end - start + 1);
                let marks = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20 | 0x7f..);
                let clean = space[start..end].iter().position(marks).unwrap_or(end - start);
                if is_clean {
                    // SAFETY: so much was reserved.
                    prop_assert_eq!(unsafe { room.copy_clean(&space, start..end) }, clean);
                    expected.extend_from_slice(&space[start..start + clean]);
                } else {
                    // SAFETY: so much was reserved.
                    unsafe { room.copy(&space, start..end) };
                    expected.extend_from_slice(&space[start..end]);
                }
                // SAFETY: one byte more was reserved.
                unsafe { room.put(*b"xyzabcde", 1) };
                expected.push(b'x');
                if len == 7 {
                    room.lend(|out| out.extend_from_slice(b"lent"));
                    expected.extend_from_slice(b"lent");
                }
            }
            drop(room);
            prop_assert_eq!(out, expected);
        }
    }
}
