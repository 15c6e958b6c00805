//! The frames of the log as its documentation describes them, read without its code: the oracle does not take the log's
//! word for what a file holds.

use crate::disk::contains;

const MAGIC: &[u8] = b"FLRM";
const HEADER: usize = 36;
/// Where the length of what follows the header stands.
const LENGTH: usize = 4;
/// Where the length of its part for the log stands: names of outputs, then chunks.
const ROUTING: usize = 20;

/// Whether a frame in `bytes` holds `text` for the output that is called `route`.
pub fn holds(bytes: &[u8], route: &str, text: &str) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.windows(MAGIC.len()).position(|four| four == MAGIC) {
        rest = &rest[at..];
        let is_here = frame(rest).is_some_and(|(routes, body)| {
            routes.contains(&route.as_bytes()) && contains(body, text.as_bytes())
        });
        if is_here {
            return true;
        }
        rest = &rest[MAGIC.len()..];
    }
    false
}

/// The outputs that the frame at the start of `bytes` is for, and its records.
fn frame(bytes: &[u8]) -> Option<(Vec<&[u8]>, &[u8])> {
    let length = number(bytes, LENGTH)?;
    let payload = bytes.get(HEADER..)?.get(..length)?;
    let (mut routing, body) = payload.split_at_checked(number(bytes, ROUTING)?)?;
    let count = short(&mut routing)?;
    let routes = (0..count).map(|_| {
        let length = short(&mut routing)?;
        routing.split_off(..length)
    });
    Some((routes.collect::<Option<_>>()?, body))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(four) as usize)
}

fn short(bytes: &mut &[u8]) -> Option<usize> {
    let two = bytes.split_off(..2)?.try_into().ok()?;
    Some(usize::from(u16::from_le_bytes(two)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use buffer::wal::Frame;

    use super::*;

    fn written(routes: &[&str], body: &str) -> Vec<u8> {
        let frame = Frame {
            first: 7,
            records: 1,
            routes: routes.iter().map(|route| Arc::from(*route)).collect(),
            chunks: vec![[9; 16]],
            body: body.as_bytes().to_vec(),
        };
        let mut bytes = Vec::new();
        frame.write(&[1; 16], &mut bytes);
        bytes
    }

    #[test]
    fn a_record_is_held_for_the_outputs_that_its_frame_names() {
        let mut bytes = vec![0; 80];
        bytes.extend(written(&["a", "bc"], "one two"));
        bytes.extend(written(&["a"], "three"));
        for (route, text, expected) in [
            ("a", "one", true),
            ("bc", "two", true),
            ("b", "two", false),
            ("a", "three", true),
            ("bc", "three", false),
            ("a", "four", false),
        ] {
            assert_eq!(holds(&bytes, route, text), expected, "{text} for {route}");
        }
        // Of a frame that is not whole nothing can be delivered.
        assert!(!holds(&bytes[..bytes.len() - 1], "a", "three"));
    }
}
