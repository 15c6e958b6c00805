//! What is known of records that are in the store or in the bucket already.
//!
//! Inputs note once a second how far they are: after a kill they read again what came since. The frames of buffer files
//! claim their records, and what an object held is kept for a while after its upload, so that none of it is taken twice.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use record::Origin;
use tokio::time::Instant;

use super::claims::{Claims, Stored};
use super::encoding::Data;
use super::frames::{self, Content, Extent};
use super::object::Description;
use super::store::{Place, Store};

/// How long it is kept what an uploaded object held. Only while a router runs: one that was down for a day reads again
/// what it had read last.
const KEPT: Duration = Duration::from_secs(600);
/// So many bytes are kept in all; a file takes a block at least.
const KEPT_BYTES: u64 = 16 << 20;
const BLOCK: u64 = 4096;
/// So many of one object: those of its last frames.
const OBJECT_BYTES: u64 = 1 << 20;
/// So much of the buffer files is read for claims, those that were written last first: more than comes in the time that
/// inputs do not note.
const READ_BYTES: u64 = 64 << 20;

/// Objects that are uploaded, oldest first.
#[derive(Debug, Default)]
pub struct Done {
    objects: RefCell<VecDeque<(Instant, u64, Place)>>,
}

impl Done {
    /// Adds one, whose file is written.
    pub fn add(&self, place: Place) {
        if let Ok(data) = std::fs::metadata(place.done()) {
            let bytes = data.len().max(BLOCK);
            let entry = (Instant::now(), bytes, place);
            self.objects.borrow_mut().push_back(entry);
        }
    }

    /// Takes out those that need not be kept any longer; their files are to be removed.
    pub fn take_old(&self) -> Vec<Place> {
        let mut objects = self.objects.borrow_mut();
        let mut bytes: u64 = objects.iter().map(|(_, bytes, _)| bytes).sum();
        let is_old = |(since, own, _): &mut (Instant, u64, Place)| {
            let is_old = bytes > KEPT_BYTES || since.elapsed() >= KEPT;
            bytes -= if is_old { *own } else { 0 };
            is_old
        };
        let mut is_old = is_old;
        let mut old = Vec::new();
        while let Some((_, _, place)) = objects.pop_front_if(&mut is_old) {
            old.push(place);
        }
        old
    }
}

/// Writes what an object held to a file that outlives its buffer file. False: it claims nothing.
pub fn keep(place: &Place, description: &Description, data: &Data) -> io::Result<bool> {
    let mut claims = Claims::default();
    for frame in frames::known_claims(&data.path, data.extent, OBJECT_BYTES)? {
        // A frame whose checksum is right reads well.
        let _ = claims.add_encoded(&frame);
    }
    if claims.is_empty() {
        return Ok(false);
    }
    let description = serde_json::to_vec(description)?;
    let content = Content {
        claims: &claims.take_encoded(),
        data: &[],
    };
    frames::append(
        &place.done(),
        Extent::default(),
        Some(&description),
        content,
    )?;
    Ok(true)
}

/// What `output` has brought to the store or to the bucket, as far as it matters.
///
/// # Errors
/// When the folders cannot be read. Files that cannot be are left out.
pub fn load(store: &Store, output: Origin) -> io::Result<Stored> {
    let (mut stored, mut budget) = (Stored::default(), READ_BYTES);
    for path in store.claiming()? {
        let is_ours = frames::description(&path)
            .ok()
            .flatten()
            .and_then(|text| serde_json::from_slice::<Description>(&text).ok())
            .is_some_and(|description| description.output == Some(output.to_bytes()));
        if !is_ours {
            continue;
        }
        let len = std::fs::metadata(&path).map_or(0, |data| data.len());
        let claims = frames::last_claims(&path, budget).unwrap_or_default();
        let has_room = claims.iter().rev().all(|claims| stored.add(claims));
        budget = budget.saturating_sub(len);
        if budget == 0 || !has_room {
            break;
        }
    }
    stored.join();
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_kept_for_a_while() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(folder.path(), "bucket", "s3.0");
        let done = Done::default();
        let add = |bytes: u64| {
            let place = store.place().expect("a place");
            let file = std::fs::File::create(place.done()).expect("created");
            file.set_len(bytes).expect("grown");
            done.add(place);
        };
        add(1);
        tokio::time::advance(KEPT / 2).await;
        add(1);
        assert!(done.take_old().is_empty());
        tokio::time::advance(KEPT / 2).await;
        assert_eq!(done.take_old().len(), 1);
        add(KEPT_BYTES - BLOCK);
        assert!(done.take_old().is_empty());
        add(1);
        assert_eq!(done.take_old().len(), 1, "the oldest one makes room");
        tokio::time::advance(KEPT).await;
        assert_eq!(done.take_old().len(), 2);
    }
}
