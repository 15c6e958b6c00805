//! A request that is being written.

use plugin::{Body, DeliveryId, Outbox, Parts, Request};

/// Memory of so many requests that are done with is kept for later ones: as many as are under way at once.
const SPARE_MAX: usize = 10;

/// A body and whose records stand in it, until it is handed over.
#[derive(Debug, Default)]
pub struct OpenRequest {
    /// The body so far.
    pub body: Vec<u8>,
    parts: Parts,
    /// Bodies and parts of requests that are done with, and the bodies' emptied shells.
    spare: Vec<(Vec<u8>, Parts, Body)>,
}

impl OpenRequest {
    /// Sets aside memory for a body of so many bytes, of which none is written.
    pub fn begin(&mut self, bytes: usize) {
        // Growing would copy what an earlier request has left.
        if self.body.capacity() < bytes {
            self.body = Vec::with_capacity(bytes);
        }
    }

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
            let (next_body, next_parts, mut shell) = self.spare.pop().unwrap_or_default();
            let body = std::mem::replace(&mut self.body, next_body);
            shell.refill(body);
            let parts = std::mem::replace(&mut self.parts, next_parts);
            outbox.requests.push(Request {
                body: shell,
                parts,
                lane: None,
                note: None,
                provenance: None,
            });
        }
    }

    /// Keeps the memory of a request that is done with, if nothing else has it.
    pub fn recycle(&mut self, done: Request) {
        let (mut shell, mut parts) = (done.body, done.parts);
        if self.spare.len() < SPARE_MAX
            && let Some(mut body) = shell.refill(Vec::new())
        {
            body.clear();
            parts.clear();
            self.spare.push((body, parts, shell));
        }
    }

    /// Takes the memory of a request that is done with for this one, which is empty, if nothing else has it.
    pub fn reuse(&mut self, done: Request) {
        if let Some(mut body) = done.body.into_vec() {
            body.clear();
            self.body = body;
            self.parts = done.parts;
            self.parts.clear();
        }
    }

    /// Gives back what is not in use.
    pub fn trim(&mut self) {
        self.spare = Vec::new();
        if self.is_empty() {
            self.body = Vec::new();
        }
    }
}
