//! Numbers in as few bytes as they need: LEB128, signed ones in zigzag.

/// Appends a number.
pub fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a number whose sign is its lowest bit.
pub fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint((value << 1 ^ value >> 63) as u64, out);
}

/// Takes a number that [`varint`] wrote off the front of `rest`; `None`: there is none.
pub fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The same for [`zigzag`].
pub fn take_zigzag(rest: &mut &[u8]) -> Option<i64> {
    let value = take_varint(rest)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(value: u64, signed: i64) {
            let mut bytes = Vec::new();
            varint(value, &mut bytes);
            zigzag(signed, &mut bytes);
            let mut rest = &bytes[..];
            prop_assert_eq!(take_varint(&mut rest), Some(value));
            prop_assert_eq!(take_zigzag(&mut rest), Some(signed));
            prop_assert!(rest.is_empty() && take_varint(&mut rest).is_none());
        }
    }

    #[test]
    fn too_large_a_number_is_none() {
        assert_eq!(take_varint(&mut &[0xff; 10][..]), None);
        assert_eq!(take_varint(&mut &[0x80; 3][..]), None);
    }
}
