//! The open request of one lane: `{"StreamName":"…","Records":[{"Data":"…","PartitionKey":"…"},…]}`.

use base64_simd::STANDARD;
use plugin::{Outbox, Reason};

use super::partition::PartitionKey;
use crate::put_records::TOO_LARGE;
use crate::put_records::entry::{Entries, Origin};
use crate::put_records::group::Group;
use crate::request::OpenRequest;

/// The limits of `PutRecords`: data before base64, with the partition keys. AWS has raised that of a request to 10 MiB in
/// 2025; this one holds everywhere.
pub const ENTRIES_MAX: u32 = 500;
pub const REQUEST_BYTES_MAX: usize = 5 * 1024 * 1024;
/// What every stream takes.
pub const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// What a stream takes whose `MaxRecordSizeInKiB` was raised as far as it goes.
pub const LARGE_ENTRY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Of the groups that are done with, all but one keep no more memory than this.
const SPARE_BYTES_MAX: usize = 32 * 1024;

const BEFORE: &[u8] = b"{\"Data\":\"";
const BETWEEN: &[u8] = b"\",\"PartitionKey\":";
const AFTER: &[u8] = b"}";
const END: &[u8] = b"]}";

/// What all requests of an output have in common.
pub struct Frame {
    /// The beginning of the body.
    pub head: Vec<u8>,
    /// Whether entries may stand for several records.
    pub joins: bool,
}

/// Records with one key that share an entry.
#[derive(Default)]
pub struct KeyedGroup {
    /// The key.
    pub key: PartitionKey,
    /// The records.
    pub group: Group,
}

/// See the module's documentation.
#[derive(Default)]
pub struct Lane {
    /// Its number; none: nothing here waits for anything else.
    pub number: Option<u64>,
    /// Records that share an entry, in the order in which the groups were opened.
    pub groups: Vec<KeyedGroup>,
    /// How many bytes they hold.
    pub grouped: usize,
    /// Groups that hold nothing but memory.
    spare: Vec<KeyedGroup>,
    /// The request, whose memory is used again.
    pub request: OpenRequest,
    entries: Entries,
    count: u32,
    /// Data and keys so far.
    bytes: usize,
    /// How large requests were: what a new one sets aside at once.
    typical: usize,
}

impl Lane {
    /// An empty one.
    pub fn new(number: Option<u64>) -> Lane {
        Lane {
            number,
            ..Lane::default()
        }
    }

    /// Adds an entry; one that only some streams take stands alone, so that a refusal hits nothing else.
    ///
    /// # Errors
    /// When no stream takes it.
    pub fn add(
        &mut self,
        frame: &Frame,
        (data, key): (&[u8], &PartitionKey),
        origins: impl Iterator<Item = Origin>,
        outbox: &mut Outbox,
    ) -> Result<(), Reason> {
        let len = data.len() + key.text.len();
        if len > LARGE_ENTRY_BYTES_MAX {
            return Err(TOO_LARGE);
        }
        let is_large = len > ENTRY_BYTES_MAX;
        if self.count == ENTRIES_MAX || self.bytes + len > REQUEST_BYTES_MAX || is_large {
            self.finish(frame, outbox);
        }
        if self.count == 0 {
            self.request.begin(self.typical);
        }
        let body = &mut self.request.body;
        if self.count == 0 {
            body.extend_from_slice(&frame.head);
        } else {
            body.push(b',');
        }
        body.extend_from_slice(BEFORE);
        STANDARD.encode_append(data, body);
        body.extend_from_slice(BETWEEN);
        body.extend_from_slice(&key.json);
        body.extend_from_slice(AFTER);
        self.count += 1;
        self.bytes += len;
        origins.for_each(|(delivery, record)| self.request.add(delivery, record));
        if frame.joins {
            self.entries.push(self.request.len());
        }
        if is_large {
            self.finish(frame, outbox);
        }
        Ok(())
    }

    /// Opens a group with this key, behind the others.
    pub fn open_group(&mut self, key: &PartitionKey) -> &mut KeyedGroup {
        let mut new = self.spare.pop().unwrap_or_default();
        new.key.copy(key);
        self.groups.push(new);
        let last = self.groups.len() - 1;
        &mut self.groups[last]
    }

    /// Takes back the groups that were open: each is in the request now.
    pub fn closed(&mut self, mut groups: Vec<KeyedGroup>) {
        for mut keyed in groups.drain(..) {
            keyed.group.clear();
            if self.spare.is_empty() || keyed.group.data.capacity() <= SPARE_BYTES_MAX {
                self.spare.push(keyed);
            }
        }
        self.groups = groups;
        self.grouped = 0;
    }

    /// Hands the open request over, if it has an entry.
    pub fn finish(&mut self, frame: &Frame, outbox: &mut Outbox) {
        if self.count == 0 {
            return;
        }
        let body = &mut self.request.body;
        body.extend_from_slice(END);
        self.typical = self.typical.max(body.len() + body.len() / 8);
        self.request.finish(outbox);
        (self.count, self.bytes) = (0, 0);
        if let Some(request) = outbox.requests.last_mut() {
            request.lane = self.number;
            request.note = frame.joins.then(|| self.entries.take());
        }
    }

    /// Gives back memory that is not in use.
    pub fn trim(&mut self) {
        self.request.trim();
        self.spare = Vec::new();
        self.typical = 0;
    }
}
