//! How a batch came onto the road.

use std::sync::atomic::{AtomicU32, Ordering};

/// Which filter put a batch on the road anew, and how often that happened to its records: what keeps them from going round
/// for ever. By default a batch comes from an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Emission {
    emitter: Option<Emitter>,
    hops: u8,
}

/// Names a filter that puts batches on the road.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Emitter(u32);

impl Emission {
    /// So often records may be put on the road anew. Chains of rules are much shorter; what goes on for longer goes round.
    pub const HOPS_MAX: u8 = 32;

    /// A name that no other filter of this process has.
    pub fn new_emitter() -> Emitter {
        static LAST: AtomicU32 = AtomicU32::new(0);
        Emitter(LAST.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether `emitter` was the last to put the batch on the road.
    pub fn is_by(self, emitter: Emitter) -> bool {
        self.emitter == Some(emitter)
    }

    /// What the batch has once `emitter` puts it on the road again; none when that happened too often.
    pub fn again(self, emitter: Emitter) -> Option<Emission> {
        (self.hops < Emission::HOPS_MAX).then_some(Emission {
            emitter: Some(emitter),
            hops: self.hops + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_end() {
        let (one, other) = (Emission::new_emitter(), Emission::new_emitter());
        let mut emission = Emission::default();
        assert!(!emission.is_by(one));
        let mut hops = 0;
        while let Some(next) = emission.again(if hops % 2 == 0 { one } else { other }) {
            (emission, hops) = (next, hops + 1);
            assert_eq!(
                (emission.is_by(one), emission.is_by(other)),
                (hops % 2 == 1, hops % 2 == 0)
            );
        }
        assert_eq!(hops, u32::from(Emission::HOPS_MAX));
    }
}
