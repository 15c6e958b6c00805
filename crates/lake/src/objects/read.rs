//! Reading an object piece by piece.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};

const PIECE_BYTES: u64 = 256 * 1024;

/// The bytes of `file` in `range`, in pieces of bounded size. A file that is shorter ends the stream with an error.
pub fn chunks(
    file: File,
    range: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold((Arc::new(file), range), |(file, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let end = range.end.min(range.start + PIECE_BYTES);
        let reader = Arc::clone(&file);
        let piece = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; (end - range.start) as usize];
            reader
                .read_exact_at(&mut piece, range.start)
                .map(|()| Bytes::from(piece))
        });
        Ok(Some((piece.await??, (file, end..range.end))))
    })
}

/// Hands every piece of `files`, one file after another, to `take`.
pub fn each_piece(files: &[PathBuf], mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES as usize];
    for file in files {
        let mut file = File::open(file)?;
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => take(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
