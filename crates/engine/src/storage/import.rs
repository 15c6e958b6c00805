//! Reads the chunk files that Fluent Bit left, and removes each once its records are safe here.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use buffer::chunks::{BadChunk, Chunk, find};
use buffer::wal::ChunkState;
use bytes::Bytes;
use record::{Batch, Ledger, Origin, Position, Tag, msgpack};
use tokio::sync::Notify;

use super::Storage;
use crate::road::{Road, Source};

/// Hands on what lies in `folder`, the oldest first. Filters have seen it already.
pub async fn import(storage: Rc<Storage>, road: Rc<Road>, folder: PathBuf) {
    let found = tokio::task::spawn_blocking(move || find(&folder)).await;
    let files = match found {
        Ok(Ok(files)) => files,
        Ok(Err(error)) => {
            let log = &storage.log;
            return log.error(format_args!(
                "cannot look for what Fluent Bit left: {error}"
            ));
        }
        Err(_) => return,
    };
    if files.is_empty() || storage.opened().is_none() {
        return;
    }
    let count = files.len();
    storage
        .log
        .info(format_args!("{count} chunk files of Fluent Bit are read"));
    for file in files {
        take(&storage, &road, &file).await;
    }
}

async fn take(storage: &Storage, road: &Road, file: &Path) {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
    let bytes = match read {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => {
            let place = file.display();
            return storage.log.error(format_args!("{place}: {error}"));
        }
        Err(_) => return,
    };
    let id = chunk_id(file, &bytes);
    if storage
        .opened()
        .is_some_and(|open| open.writer.chunks().state(&id) == ChunkState::Kept)
    {
        // It was taken before the last stop, which came before it could be removed.
        return remove(storage, file, "taken already");
    }
    match Chunk::read(&bytes) {
        Ok(chunk) => hand_on(storage, road, file, (bytes, chunk, id)).await,
        Err(BadChunk::Empty) => remove(storage, file, "empty"),
        Err(bad) if storage.settings.deletes_bad_chunks && bad != BadChunk::Layout => {
            storage.log.error(format_args!("{}: {bad}", file.display()));
            remove(storage, file, "cannot be read");
        }
        Err(bad) => storage
            .log
            .error(format_args!("{}: {bad}; it stays there", file.display())),
    }
}

/// Hands the records of a chunk on and waits until they are safe.
async fn hand_on(
    storage: &Storage,
    road: &Road,
    file: &Path,
    (bytes, chunk, id): (Vec<u8>, Chunk, [u8; 16]),
) {
    let permit = storage.memory.take(2 * bytes.len()).await;
    let (mut batch, damage) = records(bytes, &chunk);
    let count = batch.len();
    let place = file.display();
    if let Some(why) = &damage {
        storage.log.error(format_args!(
            "{place}: only {count} records can be read: {why}; the file stays there as *.damaged"
        ));
    }
    if count > 0 {
        let safe = Arc::new(Notify::new());
        let told = Arc::clone(&safe);
        let ledger = Ledger::with_notice(0, move || told.notify_one());
        for (offset, record) in (0..).zip(batch.records_mut()) {
            record.position = Position { offset, len: 1 };
        }
        let owed = ledger.open(0..count as u64);
        let batch = batch.with_obligation(owed).with_permit(permit);
        storage.complete_chunk(id);
        let source = Source {
            is_stored: true,
            room: None,
            ..Source::NONE
        };
        if let Some(unrouted) = road.hand_over(batch, source) {
            storage.log.warn(format_args!(
                "{place}: no output matches the tag {}: it stays there",
                unrouted.tag()
            ));
            storage.forget_chunk();
            return;
        }
        while !ledger.is_settled() && ledger.refused().is_empty() {
            safe.notified().await;
        }
        if !ledger.is_settled() {
            return;
        }
    }
    match damage {
        None => remove(storage, file, "taken"),
        Some(_) => {
            let beside = file.with_extension("flb.damaged");
            if let Err(error) = std::fs::rename(file, &beside) {
                storage.log.error(format_args!("{place}: {error}"));
            }
        }
    }
}

/// The records of a chunk, up to what is no record.
fn records(bytes: Vec<u8>, chunk: &Chunk) -> (Batch, Option<String>) {
    let tag = Tag::new(&bytes[chunk.tag.clone()]);
    let mut batch = Batch::new(tag, Bytes::from(bytes));
    let mut at = chunk.events.start;
    while at < chunk.events.end {
        let rest = batch.span(at..chunk.events.end);
        match msgpack::read::event(&mut batch, rest) {
            Ok((record, len)) => {
                batch.push_record(record);
                at += len;
            }
            Err(error) => return (batch, Some(error.to_string())),
        }
    }
    (batch, None)
}

/// Names a file and what is in it: what is there once more after a stop is the same.
fn chunk_id(file: &Path, bytes: &[u8]) -> [u8; 16] {
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    Origin::of(&[b"chunk file", name, bytes]).to_bytes()
}

fn remove(storage: &Storage, file: &Path, why: &str) {
    let place = file.display();
    match std::fs::remove_file(file) {
        Ok(()) => storage
            .log
            .debug(format_args!("{place}: removed, it is {why}")),
        Err(error) => storage
            .log
            .error(format_args!("{place}: cannot be removed: {error}")),
    }
}
