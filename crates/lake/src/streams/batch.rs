//! The records of one put call, ready to be appended to a buffer.

/// Records one after another, as they will stand in the object.
#[derive(Debug)]
pub struct RecordBatch {
    bytes: Vec<u8>,
    delimited: bool,
    /// Where each record ends in `bytes`.
    ends: Vec<usize>,
    data_bytes: u64,
}

impl RecordBatch {
    /// An empty batch. `delimited` puts a line feed in front of every record; `capacity` is how many bytes to expect.
    pub fn new(delimited: bool, capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            delimited,
            ends: Vec::new(),
            data_bytes: 0,
        }
    }

    /// Adds the record that `fill` appends to what it is given, and gives its size. If it fails, the batch is to be
    /// thrown away.
    pub fn push<E>(
        &mut self,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        if self.delimited {
            self.bytes.push(b'\n');
        }
        let start = self.bytes.len();
        fill(&mut self.bytes)?;
        let size = self.bytes.len() - start;
        self.ends.push(self.bytes.len());
        self.data_bytes += size as u64;
        Ok(size)
    }

    /// The same without the records that `left_out` says.
    pub fn without(&self, left_out: &[bool]) -> RecordBatch {
        let mut rest = RecordBatch::new(self.delimited, self.bytes.len());
        let mut start = 0;
        for (end, left_out) in self.ends.iter().zip(left_out) {
            if !left_out {
                rest.bytes.extend_from_slice(&self.bytes[start..*end]);
                rest.ends.push(rest.bytes.len());
                rest.data_bytes += (end - start - usize::from(self.delimited)) as u64;
            }
            start = *end;
        }
        rest
    }

    /// How many records there are.
    pub fn records(&self) -> u32 {
        self.ends.len() as u32
    }

    /// Their bytes, without delimiters.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// What is appended to an object; a delimiter in front of the object's very first record is left out.
    pub fn payload(&self, first_of_object: bool) -> &[u8] {
        let skipped = usize::from(first_of_object && self.delimited && !self.bytes.is_empty());
        &self.bytes[skipped..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_stand_between_records_only() {
        let mut batch = RecordBatch::new(true, 0);
        for record in ["abc", "", "d"] {
            batch
                .push(|out| {
                    out.extend_from_slice(record.as_bytes());
                    Ok::<_, ()>(())
                })
                .unwrap();
        }
        assert_eq!(batch.payload(true), b"abc\n\nd");
        assert_eq!(batch.payload(false), b"\nabc\n\nd");
        assert_eq!((batch.records(), batch.data_bytes()), (3, 4));
        let rest = batch.without(&[true, false, false]);
        assert_eq!(rest.payload(false), b"\n\nd");
        assert_eq!((rest.records(), rest.data_bytes()), (2, 1));
    }
}
