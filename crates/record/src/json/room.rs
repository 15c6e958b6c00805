//! Room at the end of a vector, filled in whole blocks.

use std::ops::Range;

use super::scan::{self, BLOCK, Block};
use super::window::Window;

/// So much more than what is written must be reserved, because whole blocks are written.
const MARGIN: usize = 2 * BLOCK;

/// The end of a vector while many small pieces are appended. What [`Room::reserve`] has made room for is then written
/// without asking for each piece again, which would cost more than most pieces do.
pub(super) struct Room<'a>(&'a mut Vec<u8>);

/// Where the next byte goes: within the vector's memory, or at its end. Apart from the vector, so that it stays in a
/// register.
#[derive(Clone, Copy)]
pub(super) struct Next(*mut u8);

impl<'a> Room<'a> {
    /// The room behind what is in `out`, and where it begins.
    #[inline(always)]
    pub fn new(out: &'a mut Vec<u8>) -> (Room<'a>, Next) {
        let next = Next(out.as_mut_ptr_range().end);
        (Room(out), next)
    }

    /// How many bytes there are up to `next`.
    #[inline(always)]
    fn len(&self, next: Next) -> usize {
        next.0 as usize - self.0.as_ptr() as usize
    }

    /// Makes room for `bytes` at `next`, and for the blocks with which they are written.
    #[inline(always)]
    pub fn reserve(&mut self, next: Next, bytes: usize) -> Next {
        match self.0.capacity() - self.len(next) < bytes + MARGIN {
            true => self.grow(next, bytes + MARGIN),
            false => next,
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, next: Next, bytes: usize) -> Next {
        self.lend(next, |out| out.reserve(bytes)).0
    }

    /// Lets `write` append to the vector.
    #[inline(always)]
    pub fn lend<T>(&mut self, next: Next, write: impl FnOnce(&mut Vec<u8>) -> T) -> (Next, T) {
        self.end(next);
        let result = write(self.0);
        (Next(self.0.as_mut_ptr_range().end), result)
    }

    /// Lets the vector end at `next`.
    #[inline(always)]
    pub fn end(&mut self, next: Next) {
        let len = self.len(next);
        debug_assert!(len <= self.0.capacity());
        // SAFETY: every byte up to `next` was written, within what was reserved.
        unsafe { self.0.set_len(len) };
    }
}

impl Next {
    /// Appends the bytes `range` of `space`.
    ///
    /// # Safety
    /// Room for them must have been reserved and not used.
    #[inline(always)]
    pub unsafe fn copy(self, space: &[u8], range: Range<usize>) -> Next {
        let (mut next, mut at) = (self, range.start);
        while at < range.end {
            let Some(block) = scan::block_at(space, at) else {
                // SAFETY: as promised by the caller.
                return unsafe { next.copy_last(&space[at..range.end]) };
            };
            // SAFETY: at most the margin is written beyond what was reserved.
            next = unsafe { next.put_block(block, BLOCK) };
            at += BLOCK;
        }
        // SAFETY: back to what stands behind the last byte of the range.
        Next(unsafe { next.0.sub(at - range.end) })
    }

    /// Appends the bytes `range` of `space` up to the first that may not stand for itself in a JSON string: where that stands,
    /// or the end of the range.
    ///
    /// # Safety
    /// Room for all of them must have been reserved and not used.
    #[inline(always)]
    pub unsafe fn copy_clean(self, space: &[u8], range: Range<usize>) -> (Next, usize) {
        let (mut next, mut at) = (self, range.start);
        while at < range.end {
            let Some(block) = scan::block_at(space, at) else {
                // SAFETY: as promised by the caller.
                let (next, last) = unsafe { next.copy_last_clean(&space[at..range.end]) };
                return (next, at + last);
            };
            let marks = scan::to_escape(block);
            let clean = marks.trailing_zeros() as usize;
            // Mostly a mark stands behind the range: what follows need not wait until that is known.
            if marks != 0 && clean < range.end - at {
                // SAFETY: at most the margin is written beyond what was reserved.
                return (unsafe { next.put_block(block, clean) }, at + clean);
            }
            // SAFETY: at most the margin is written beyond what was reserved.
            next = unsafe { next.put_block(block, BLOCK) };
            at += BLOCK;
        }
        // SAFETY: back to what stands behind the last byte of the range.
        (Next(unsafe { next.0.sub(at - range.end) }), range.end)
    }

    /// Appends `bytes`.
    ///
    /// # Safety
    /// As for [`Next::copy`].
    #[cold]
    #[inline(never)]
    unsafe fn copy_last(self, bytes: &[u8]) -> Next {
        // SAFETY: as promised by the caller.
        unsafe {
            self.0.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            Next(self.0.add(bytes.len()))
        }
    }

    /// # Safety
    /// As for [`Next::copy_clean`].
    #[cold]
    #[inline(never)]
    unsafe fn copy_last_clean(self, bytes: &[u8]) -> (Next, usize) {
        let mut block = [b'"'; BLOCK];
        block[..bytes.len()].copy_from_slice(bytes);
        let clean = (scan::to_escape(&block) | 1 << BLOCK).trailing_zeros() as usize;
        let clean = clean.min(bytes.len());
        // SAFETY: as promised by the caller.
        (unsafe { self.copy_last(&bytes[..clean]) }, clean)
    }

    /// Appends the first `len` bytes of a block.
    ///
    /// # Safety
    /// Room for as many must have been reserved and not used.
    #[inline(always)]
    pub unsafe fn put_block(self, block: &Block, len: usize) -> Next {
        // SAFETY: as promised by the caller, and the margin pays for the rest of the block.
        unsafe {
            self.0.cast::<Block>().write_unaligned(*block);
            Next(self.0.add(len))
        }
    }

    /// Writes a window, without passing over it.
    ///
    /// # Safety
    /// Room for it must have been reserved.
    #[inline(always)]
    pub unsafe fn put_window(self, window: &Window) {
        // SAFETY: as promised by the caller.
        unsafe { self.0.cast::<Window>().write_unaligned(*window) };
    }

    /// So many bytes further on.
    ///
    /// # Safety
    /// Room for them must have been reserved.
    #[inline(always)]
    pub unsafe fn add(self, bytes: usize) -> Next {
        // SAFETY: as promised by the caller.
        Next(unsafe { self.0.add(bytes) })
    }

    /// So many bytes back.
    ///
    /// # Safety
    /// They must have been appended.
    #[inline(always)]
    pub unsafe fn back(self, bytes: usize) -> Next {
        // SAFETY: as promised by the caller.
        Next(unsafe { self.0.sub(bytes) })
    }

    /// Appends a byte.
    ///
    /// # Safety
    /// Room for it must have been reserved and not used.
    #[inline(always)]
    pub unsafe fn put_byte(self, byte: u8) -> Next {
        // SAFETY: as promised by the caller.
        unsafe {
            self.0.write(byte);
            Next(self.0.add(1))
        }
    }

    /// Appends the first `len` of eight `bytes`.
    ///
    /// # Safety
    /// Room for as many must have been reserved and not used; the margin pays for the other bytes, and for one call after
    /// the last byte that was reserved.
    #[inline(always)]
    pub unsafe fn put(self, bytes: [u8; 8], len: usize) -> Next {
        // SAFETY: as promised by the caller.
        unsafe {
            self.0.cast::<[u8; 8]>().write_unaligned(bytes);
            Next(self.0.add(len))
        }
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
            let (mut room, mut next) = Room::new(&mut out);
            for (start, len, is_clean) in pieces {
                let start = start.index(space.len() + 1);
                let end = space.len().min(start + len);
                next = room.reserve(next, end - start + 1);
                let marks = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20 | 0x7f..);
                let clean = space[start..end].iter().position(marks).unwrap_or(end - start);
                if is_clean {
                    // SAFETY: so much was reserved.
                    let (behind, at) = unsafe { next.copy_clean(&space, start..end) };
                    prop_assert_eq!(at, start + clean);
                    next = behind;
                    expected.extend_from_slice(&space[start..start + clean]);
                } else {
                    // SAFETY: so much was reserved.
                    next = unsafe { next.copy(&space, start..end) };
                    expected.extend_from_slice(&space[start..end]);
                }
                // SAFETY: one byte more was reserved.
                next = unsafe { next.put(*b"xyzabcde", 1) };
                expected.push(b'x');
                if len == 7 {
                    (next, ()) = room.lend(next, |out| out.extend_from_slice(b"lent"));
                    expected.extend_from_slice(b"lent");
                }
            }
            room.end(next);
            prop_assert_eq!(out, expected);
        }
    }
}
