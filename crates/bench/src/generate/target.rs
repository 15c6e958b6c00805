//! Where lines go.

use std::io::{self, Write};

use super::GenerateCommand;
use super::files::LogFile;
use super::forward::Forward;
use super::socket::Socket;

/// Lines that go out together.
#[derive(Default)]
pub struct Block {
    /// The lines with their newlines.
    pub text: Vec<u8>,
    /// Where each ends in it.
    pub ends: Vec<usize>,
}

impl Block {
    /// Forgets the lines and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Each line without its newline.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.text[start..end - 1])
    }
}

/// A destination of one writer.
pub enum Target {
    /// A file that may be rotated.
    File(LogFile),
    /// Lines over a connection, and how many were sent again.
    Tcp(Socket, u64),
    /// The forward protocol.
    Forward(Box<Forward>),
    /// The standard output.
    Stdout,
}

impl Target {
    /// Opens the destination of the writer `index`.
    pub fn open(command: &GenerateCommand, index: u32) -> Result<Target, String> {
        if let Some(path) = &command.path {
            let file = LogFile::open(path, command, index);
            return file
                .map(Target::File)
                .map_err(|error| format!("cannot write {}: {error}", path.display()));
        }
        if let Some(address) = &command.tcp {
            let socket = Socket::connect(address.clone());
            return socket
                .map(|socket| Target::Tcp(socket, 0))
                .map_err(|error| format!("cannot connect to {address}: {error}"));
        }
        if let Some(address) = &command.forward {
            let forward = Forward::connect(address.clone(), command);
            return forward
                .map(|forward| Target::Forward(Box::new(forward)))
                .map_err(|error| format!("cannot connect to {address}: {error}"));
        }
        Ok(Target::Stdout)
    }

    /// Writes lines; returns when they are in the kernel.
    pub fn write(&mut self, block: &Block) -> io::Result<()> {
        match self {
            Target::File(file) => file.write(block),
            Target::Tcp(socket, resent) => {
                let again = socket.send(&block.text)?;
                *resent += again * block.ends.len() as u64;
                Ok(())
            }
            Target::Forward(forward) => forward.write(block),
            Target::Stdout => io::stdout().lock().write_all(&block.text),
        }
    }

    /// Waits for what is still to come from the other side. How many lines were sent again.
    pub fn finish(self) -> io::Result<u64> {
        match self {
            Target::File(_) => Ok(0),
            Target::Tcp(_, resent) => Ok(resent),
            Target::Forward(forward) => forward.finish(),
            Target::Stdout => io::stdout().lock().flush().map(|()| 0),
        }
    }
}
