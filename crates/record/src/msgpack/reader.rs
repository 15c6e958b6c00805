//! A walker over msgpack bytes that trusts no length.

/// Why bytes are not the msgpack that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end inside a value: at least `needed` more are required.
    #[error("incomplete: at least {needed} more bytes are needed")]
    Incomplete {
        /// How many bytes more, at least.
        needed: usize,
    },
    /// The bytes can never become what was asked for.
    #[error("{reason} at byte {offset}")]
    Malformed {
        /// Bytes from the start.
        offset: usize,
        /// What was wrong there.
        reason: &'static str,
    },
}

impl Error {
    /// Whether more bytes might help.
    pub fn is_incomplete(self) -> bool {
        matches!(self, Error::Incomplete { .. })
    }
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// nil
    Nil,
    /// true, false
    Bool,
    /// Any integer.
    Int,
    /// 32 or 64 bits.
    Float,
    /// Text.
    Str,
    /// Bytes.
    Bin,
    /// An array.
    Array,
    /// A map.
    Map,
    /// An extension.
    Ext,
}

/// Walks over msgpack bytes: for the frames of protocols, whose shape is known. Nothing is copied or allocated.
///
/// After an error the reader stands where it stood before the call.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// What comes next.
    pub fn peek(&self) -> Result<Type, Error> {
        unimplemented!()
    }

    /// The header of an array: how many items follow.
    pub fn array(&mut self) -> Result<usize, Error> {
        unimplemented!()
    }

    /// The header of a map: how many pairs follow.
    pub fn map(&mut self) -> Result<usize, Error> {
        unimplemented!()
    }

    /// Text.
    pub fn str(&mut self) -> Result<&'a [u8], Error> {
        unimplemented!()
    }

    /// Bytes.
    pub fn bin(&mut self) -> Result<&'a [u8], Error> {
        unimplemented!()
    }

    /// Text or bytes: old senders know no bin.
    pub fn str_or_bin(&mut self) -> Result<&'a [u8], Error> {
        unimplemented!()
    }

    /// An extension: its type and its bytes.
    pub fn ext(&mut self) -> Result<(i8, &'a [u8]), Error> {
        unimplemented!()
    }

    /// An integer that fits into `i64`.
    pub fn int(&mut self) -> Result<i64, Error> {
        unimplemented!()
    }

    /// An integer that is not negative.
    pub fn uint(&mut self) -> Result<u64, Error> {
        unimplemented!()
    }

    /// `true` or `false`.
    pub fn bool(&mut self) -> Result<bool, Error> {
        unimplemented!()
    }

    /// nil.
    pub fn nil(&mut self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Passes over one value of any kind and gives its bytes; more than `limit` bytes are an error as soon as a header
    /// announces them.
    pub fn skip(&mut self, limit: usize) -> Result<&'a [u8], Error> {
        let _ = limit;
        unimplemented!()
    }
}
