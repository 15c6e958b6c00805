//! Values that are written in few bytes: put into room that was asked for with what is around them.

use super::digits::{self, EIGHT};
use super::number;
use super::room::{Next, Room};
use crate::Value;

/// So many bytes at most are put.
pub(super) const MOST: usize = 24;

/// Appends `value`, if it is [short](put): whether it is.
pub(super) fn write(value: Value, out: &mut Vec<u8>) -> bool {
    let (mut room, next) = Room::new(out);
    let next = room.reserve(next, MOST);
    // SAFETY: so much was reserved.
    let written = unsafe { put(next, value) };
    if let Some(next) = written {
        room.end(next);
    }
    written.is_some()
}

/// Appends `value`, if it is short: null, a boolean, an integer, or a number with a point as most are.
///
/// # Safety
/// Room for [`MOST`] bytes must have been reserved and not used.
#[inline(always)]
pub(super) unsafe fn put(next: Next, value: Value) -> Option<Next> {
    // SAFETY: as promised by the caller; none is longer.
    unsafe {
        Some(match value {
            Value::Null => next.put(*b"null\0\0\0\0", 4),
            Value::Bool(true) => next.put(*b"true\0\0\0\0", 4),
            Value::Bool(false) => next.put(*b"false\0\0\0", 5),
            Value::Int(value) => integer(sign(next, value < 0), value.unsigned_abs()),
            Value::Uint(value) => integer(next, value),
            Value::Float(value) => return float(next, value),
            _ => return None,
        })
    }
}

/// # Safety
/// As for [`put`], of one byte.
#[inline(always)]
unsafe fn sign(next: Next, is_negative: bool) -> Next {
    // SAFETY: as promised by the caller.
    unsafe { next.put(*b"-\0\0\0\0\0\0\0", usize::from(is_negative)) }
}

/// # Safety
/// As for [`put`], of twenty bytes.
#[inline(always)]
unsafe fn integer(next: Next, value: u64) -> Next {
    // SAFETY: as promised by the caller.
    unsafe {
        match value {
            // What comes next need not wait until the digits are counted.
            0..10 => next.put_byte(b'0' | value as u8),
            10..100_000_000 => {
                let (digits, len) = digits::few(value);
                next.put(digits.to_le_bytes(), len)
            }
            _ => long_integer(next, value),
        }
    }
}

/// The same for one of more than eight digits.
///
/// # Safety
/// As for [`integer`].
unsafe fn long_integer(next: Next, value: u64) -> Next {
    const LIMIT: u64 = 100_000_000;
    let (first, last) = (value / LIMIT, value % LIMIT);
    // SAFETY: as promised by the caller; what is left has eight digits less.
    unsafe { integer(next, first).put(digits::eight(last).to_le_bytes(), EIGHT) }
}

/// # Safety
/// As for [`put`].
#[inline(always)]
unsafe fn float(next: Next, value: f64) -> Option<Next> {
    if let Some(whole) = number::whole(value) {
        // SAFETY: as promised by the caller: a sign, nineteen digits and two bytes.
        return Some(unsafe {
            integer(sign(next, value.is_sign_negative()), whole).put(*b".0\0\0\0\0\0\0", 2)
        });
    }
    let (digits, exponent) = number::by_integers(value.abs())?;
    let before = exponent as usize + 1;
    let text = u128::from_le_bytes(digits);
    // The last digit is the highest byte.
    let zeros = (text ^ u128::from_le_bytes([b'0'; 16])).leading_zeros() as usize / 8;
    let len = digits.len() - zeros;
    // SAFETY: as promised by the caller: a sign, sixteen digits and a point.
    unsafe {
        let next = sign(next, value.is_sign_negative()).put_block(&digits, before);
        if len <= before {
            return Some(next);
        }
        let after = (text >> (8 * before)).to_le_bytes();
        Some(next.put_byte(b'.').put_block(&after, len - before))
    }
}
