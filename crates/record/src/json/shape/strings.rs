//! Strings, found and decoded a window at a time.

use std::ops::Range;

use super::super::unescape;
use super::super::window::{Machine, Marks, WINDOW, Window};

/// So much more than what is made must be reserved: whole windows are written, the last one from the last byte on.
const MARGIN: usize = 2 * WINDOW + 8;

/// The length of the longest escape that is decoded here.
const ESCAPE_MAX: usize = 6;

/// Reads the strings of one object.
pub(super) struct Strings<'a> {
    /// The bytes in which they lie.
    space: &'a [u8],
    end: usize,
    made: &'a mut Vec<u8>,
    /// Where what was made begins, and where it ends with what was decoded. Apart from the vector, so that they stay in
    /// registers.
    base: *mut u8,
    next: *mut u8,
}

/// How a string is written.
pub(super) enum Written {
    /// As it is.
    Plain,
    /// With escapes: where in `made` what it says stands, and whether that may have a backslash.
    Escaped {
        made: Range<usize>,
        has_backslash: bool,
    },
}

impl<'a> Strings<'a> {
    /// Reads strings before `end`, whose texts have `most` bytes together at most, and appends to `made` what it decodes.
    #[inline(always)]
    pub fn new(space: &'a [u8], end: usize, made: &'a mut Vec<u8>, most: usize) -> Strings<'a> {
        made.reserve(most + MARGIN);
        let Range { start: base, .. } = made.as_mut_ptr_range();
        let next = made.as_mut_ptr_range().end;
        Strings {
            space,
            end,
            made,
            base,
            next,
        }
    }

    /// Keeps what was decoded.
    #[inline(always)]
    pub fn end(self) {
        let len = self.offset(self.next);
        debug_assert!(len <= self.made.capacity());
        // SAFETY: so much was written.
        unsafe { self.made.set_len(len) };
    }

    /// Reads the string that begins at `start`, behind its quote: where its other quote stands, which may be beyond the end.
    /// None if it does not end, or has an escape that is rare.
    ///
    /// # Safety
    /// `start` must not be behind `end`, and that [`BEHIND`](super::BEHIND) before the end of the space.
    #[inline(always)]
    pub unsafe fn read<M: Machine>(&mut self, start: usize) -> Option<(usize, Written)> {
        let mut at = start;
        loop {
            // SAFETY: windows begin before the end, or there.
            let marks = unsafe { self.marks::<M>(at) };
            let first = marks.quotes | marks.backslashes;
            if first != 0 {
                let first = first.trailing_zeros() as usize;
                if marks.quotes >> first & 1 != 0 {
                    return Some((at + first, Written::Plain));
                }
                // SAFETY: as promised by the caller.
                return unsafe { self.decode::<M>(start, at, marks) };
            }
            at += WINDOW;
            if at >= self.end {
                return None;
            }
        }
    }

    /// The marks of the window at `at`.
    ///
    /// # Safety
    /// `at` must not be behind the end.
    #[inline(always)]
    unsafe fn marks<M: Machine>(&self, at: usize) -> Marks {
        debug_assert!(at + WINDOW <= self.space.len());
        // SAFETY: so many bytes follow.
        M::marks(unsafe { &*self.space.as_ptr().add(at).cast::<Window>() })
    }

    /// Reads the string that begins at `start` and has its first escape in the window at `at`, whose `marks` are known.
    ///
    /// Each window is copied as if it had no escapes. What follows an escape is copied once more, to where it belongs. That
    /// takes no longer, and spares the branch that asks how much there is to copy.
    ///
    /// # Safety
    /// As for [`Strings::read`].
    #[inline(always)]
    unsafe fn decode<M: Machine>(
        &mut self,
        start: usize,
        mut at: usize,
        mut marks: Marks,
    ) -> Option<(usize, Written)> {
        let first = self.next;
        let (mut from, mut to) = (start, first);
        while from < at {
            // SAFETY: what is copied are windows of the string.
            to = unsafe { self.copy(from, to).add(WINDOW) };
            from += WINDOW;
        }
        let mut has_backslash = false;
        loop {
            // SAFETY: this window begins before the end.
            unsafe { self.copy(at, to) };
            let escapes = match marks.backslashes & marks.backslashes << 1 {
                0 => marks.backslashes,
                _ => {
                    has_backslash = true;
                    escapes(marks.backslashes)
                }
            };
            let quotes = marks.quotes & !(escapes << 1);
            // Those before the quote, or all of them.
            let mut left = escapes & (quotes ^ quotes.wrapping_sub(1));
            if escapes == (marks.quotes & escapes << 1) >> 1 {
                // Nothing but quotes, which stand for themselves.
                while left != 0 {
                    let place = left.trailing_zeros() as usize;
                    left &= left - 1;
                    // SAFETY: the window begins before the end.
                    unsafe {
                        to = to.sub(1);
                        self.copy(at + place + 1, to.add(place + 1));
                    }
                }
            }
            while left != 0 {
                let place = left.trailing_zeros() as usize;
                left &= left - 1;
                // SAFETY: the window begins before the end, and no escape is longer than 6 bytes.
                unsafe {
                    let text = self
                        .space
                        .as_ptr()
                        .add(at + place)
                        .cast::<[u8; ESCAPE_MAX]>();
                    let byte = unescape::SIMPLE[usize::from((*text)[1])];
                    let (used, len);
                    if byte != 0 {
                        *to.add(place) = byte;
                        (used, len) = (2, 1);
                    } else {
                        let (utf8, bytes) = unicode(&*text)?;
                        to.add(place).cast::<[u8; 4]>().write_unaligned(utf8);
                        (used, len) = (ESCAPE_MAX, bytes);
                        has_backslash |= utf8[0] == b'\\';
                    }
                    // From here on the text is shorter than how it is written.
                    to = to.sub(used - len);
                    self.copy(at + place + used, to.add(place + used));
                }
            }
            if quotes != 0 {
                let place = quotes.trailing_zeros() as usize;
                // SAFETY: so much was written.
                self.next = unsafe { to.add(place) };
                let made = self.offset(first)..self.offset(self.next);
                return Some((
                    at + place,
                    Written::Escaped {
                        made,
                        has_backslash,
                    },
                ));
            }
            let mut next = WINDOW;
            if escapes >> (WINDOW - ESCAPE_MAX + 1) != 0 {
                // The last escape may go on behind the window.
                let place = escapes.ilog2() as usize;
                let is_unicode = self.space[at + place + 1] == b'u';
                has_backslash |= self.space[at + place + 1] == b'\\';
                next = next.max(place + if is_unicode { ESCAPE_MAX } else { 2 });
            }
            at += next;
            if at >= self.end {
                return None;
            }
            // SAFETY: so much was written; `at` was just asked for.
            unsafe {
                to = to.add(next);
                marks = self.marks::<M>(at);
            }
        }
    }

    /// Where in `made` a place of it is.
    #[inline(always)]
    fn offset(&self, place: *mut u8) -> usize {
        place as usize - self.base as usize
    }

    /// Copies a window of bytes, from `from` of the space to `to` of what is made.
    ///
    /// # Safety
    /// `from` must be less than a window and an escape behind the end, `to` no further behind what was reserved.
    #[inline(always)]
    unsafe fn copy(&self, from: usize, to: *mut u8) -> *mut u8 {
        debug_assert!(from + WINDOW <= self.space.len());
        debug_assert!(self.offset(to) + WINDOW <= self.made.capacity());
        // SAFETY: as promised by the caller. The vector is not the space: both are borrowed, one of them mutably.
        unsafe {
            let window = self.space.as_ptr().add(from).cast::<Window>().read();
            to.cast::<Window>().write(window);
        }
        to
    }
}

/// The backslashes that begin an escape: one that follows such a one is what it says.
#[inline(always)]
fn escapes(mut backslashes: u32) -> u32 {
    let mut escapes = 0;
    while backslashes != 0 {
        let one = backslashes & backslashes.wrapping_neg();
        escapes |= one;
        backslashes &= !(one | one << 1);
    }
    escapes
}

/// What the escape `\uXXXX` says and how many bytes that has; none if it is rare: half of a pair, or no such escape.
#[inline(always)]
fn unicode(text: &[u8; ESCAPE_MAX]) -> Option<([u8; 4], usize)> {
    if text[1] != b'u' {
        return None;
    }
    let digit = |index: usize| i32::from(DIGITS[usize::from(text[index])]);
    let code = digit(2) << 12 | digit(3) << 8 | digit(4) << 4 | digit(5);
    let low = |code: i32| 0x80 | code as u8 & 0x3f;
    match code {
        0..0x80 => Some(([code as u8, 0, 0, 0], 1)),
        0x80..0x800 => Some(([0xc0 | (code >> 6) as u8, low(code), 0, 0], 2)),
        0x800..0xd800 | 0xe000.. => {
            Some(([0xe0 | (code >> 12) as u8, low(code >> 6), low(code), 0], 3))
        }
        _ => None,
    }
}

/// The value of each hexadecimal digit, and a negative number for what is none.
static DIGITS: [i8; 256] = {
    let mut table = [-1; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as i8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as i8;
        digit += 1;
    }
    table
};
