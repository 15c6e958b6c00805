//! Both clusters together.

use record::Time;

use super::{Error, ecs, eks};

/// The clusters that write.
pub struct Clusters {
    eks: eks::Cluster,
    ecs: ecs::Cluster,
}

impl Clusters {
    /// Both of them.
    pub fn new(eks: eks::Cluster, ecs: ecs::Cluster) -> Clusters {
        Clusters { eks, ecs }
    }

    /// One request, answered by the clusters in turn.
    pub fn request(&mut self, now: Time) -> Result<(), Error> {
        if self.eks.written() <= self.ecs.written() {
            self.eks.request(now)?
        } else {
            self.ecs.request(now)?
        }
        Ok(())
    }

    /// Nothing is held back any more.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.eks.flush()?;
        self.ecs.flush()?;
        Ok(())
    }

    /// Lines written so far: EKS, ECS.
    pub fn lines(&self) -> [u64; 2] {
        [self.eks.written(), self.ecs.written()]
    }
}
