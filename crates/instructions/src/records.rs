//! Records as msgpack, and tags.

use std::hint::black_box;

use bytes::Bytes;
use record::msgpack::{read, write};
use record::{Batch, Tag, TagPattern};

use crate::lines::{self, TAG};
use crate::{Path, RECORDS};

/// Records to events of msgpack.
pub fn msgpack_write() -> Path {
    let batch = lines::records();
    let mut out = Vec::new();
    Path::new(RECORDS, move || {
        out.clear();
        for record in batch.records() {
            write::event_v2(&batch, record, &mut out);
        }
        black_box(&out);
        batch.records().len()
    })
}

/// Events of msgpack to records.
pub fn msgpack_read() -> Path {
    let written = lines::records();
    let mut events = Vec::new();
    for record in written.records() {
        write::event_v2(&written, record, &mut events);
    }
    let events = Bytes::from(events);
    Path::new(RECORDS, move || {
        let mut batch = Batch::new(Tag::from(TAG), events.clone());
        let (mut at, mut records) = (0, 0);
        while at < events.len() {
            let span = batch.span(at..events.len());
            let (event, used) = read::event(&mut batch, span).expect("an event");
            black_box(event);
            at += used;
            records += 1;
        }
        records
    })
}

/// Tags against the patterns of a usual configuration: each matches two of the four.
pub fn tags() -> Path {
    let patterns = ["*", "kube.*", "host.*", "kube.*.ingress-*.log"].map(TagPattern::new);
    let tag = Tag::from(TAG);
    Path::new(2 * RECORDS, move || {
        let all = (0..RECORDS).flat_map(|_| &patterns);
        all.filter(|pattern| black_box(pattern).matches(black_box(&tag)))
            .count()
    })
}
