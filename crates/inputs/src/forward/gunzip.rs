//! CompressedPackedForward: gzip, several members allowed, never more than the frame limit.

use std::io::Read;

use flate2::bufread::GzDecoder;

/// The most members of one frame. Each costs time, however little is in it.
const MEMBERS_MAX: usize = 4096;

/// Unpacks `packed`; an error says what is wrong. More than `limit` bytes are not unpacked: a small frame must not be
/// able to fill memory.
pub fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, &'static str> {
    let (mut rest, mut unpacked) = (packed, Vec::new());
    for _ in 0..MEMBERS_MAX {
        let mut member = GzDecoder::new(rest);
        let room = limit.saturating_sub(unpacked.len()) as u64;
        member
            .by_ref()
            .take(room + 1)
            .read_to_end(&mut unpacked)
            .map_err(|_| "the gzip data of a frame is damaged")?;
        if unpacked.len() > limit {
            return Err("a frame unpacks to more than buffer_max_size");
        }
        rest = member.into_inner();
        if rest.is_empty() {
            return Ok(unpacked);
        }
    }
    Err("the gzip data of a frame has too many members")
}

#[cfg(test)]
pub mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// One gzip member that holds `bytes`.
    pub fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("memory takes everything");
        encoder.finish().expect("memory takes everything")
    }

    #[test]
    fn members_are_joined() {
        let packed = [pack(b"one "), pack(b""), pack(b"two")].concat();
        assert_eq!(unpack(&packed, 100).as_deref(), Ok(&b"one two"[..]));
        assert_eq!(unpack(&packed, 7).as_deref(), Ok(&b"one two"[..]));
        assert_eq!(
            unpack(&packed, 6),
            Err("a frame unpacks to more than buffer_max_size")
        );
    }

    #[test]
    fn a_bomb_is_capped() {
        let bomb = pack(&vec![0; 2 << 20]);
        assert!(bomb.len() < 4 << 10);
        assert_eq!(
            unpack(&bomb, 1 << 16),
            Err("a frame unpacks to more than buffer_max_size")
        );
    }

    #[test]
    fn damage_is_noticed() {
        let packed = pack(b"some text that is packed");
        let mut flipped = packed.clone();
        let crc = flipped.len() - 8;
        flipped[crc] ^= 1;
        let damaged = Err("the gzip data of a frame is damaged");
        assert_eq!(unpack(&flipped, 100), damaged, "the checksum is wrong");
        for end in 0..packed.len() {
            assert_eq!(unpack(&packed[..end], 100), damaged, "cut at {end}");
        }
        assert_eq!(unpack(&[&packed[..], b"garbage"].concat(), 100), damaged);
        assert_eq!(
            unpack(&pack(b"").repeat(5000), 100),
            Err("the gzip data of a frame has too many members")
        );
    }
}
