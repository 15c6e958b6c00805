//! A request that is being written.

use bytes::Bytes;
use plugin::{DeliveryId, Outbox, Parts, Request};

/// A body and whose records stand in it, until it is handed over.
#[derive(Debug, Default)]
pub struct OpenRequest {
    /// The body so far.
    pub body: Vec<u8>,
    parts: Parts,
}

impl OpenRequest {
    /// The body has one more record.
    #[inline]
    pub fn add(&mut self, delivery: DeliveryId, record: u32) {
        self.parts.push(delivery, record);
    }

    /// How many records stand in it.
    pub fn len(&self) -> u32 {
        self.parts.len()
    }

    /// Whether no record stands in it.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Hands the request over, unless no record stands in it, and starts the next one.
    pub fn finish(&mut self, outbox: &mut Outbox) {
        if !self.is_empty() {
            let body = Bytes::from(std::mem::take(&mut self.body));
            outbox.requests.push(Request {
                body,
                parts: std::mem::take(&mut self.parts),
                note: None,
            });
        }
    }

    /// Uses the memory of a request that is done with for the next one, if nothing else has it and none is being written.
    pub fn recycle(&mut self, done: Request) {
        if self.body.capacity() == 0
            && let Ok(body) = done.body.try_into_mut()
        {
            self.body = body.into();
            self.body.clear();
        }
    }

    /// Gives back what an unused body holds.
    pub fn trim(&mut self) {
        if self.is_empty() {
            self.body = Vec::new();
        }
    }
}
