//! The "ECS" cluster: tasks whose output Docker's `fluentd` log driver sends over a unix socket with the forward
//! protocol, one message per line: `[tag, time, {container_id, container_name, source, log}]`.

use std::io::{self, BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use record::Time;

use super::traffic::Traffic;

const TASKS: u64 = 2;
/// The tag of the post's task definition.
const TAG: &str = "logs-from-nginx";

/// Tasks that send their access logs.
pub struct Cluster {
    tasks: Vec<Task>,
    written: u64,
}

struct Task {
    traffic: Traffic,
    container_id: String,
    container_name: String,
    socket: BufWriter<UnixStream>,
    line: String,
    message: Vec<u8>,
}

impl Cluster {
    /// Tasks with a connection each to `socket`.
    pub fn start(socket: &Path) -> io::Result<Cluster> {
        let tasks = (0..TASKS).map(|task| {
            Ok(Task {
                traffic: Traffic::new(100 + task),
                container_id: format!("{:064x}", 0xEC50_0000_u64 + task),
                container_name: format!("/ecs-nginx-1-nginx-{task}"),
                socket: BufWriter::new(UnixStream::connect(socket)?),
                line: String::new(),
                message: Vec::new(),
            })
        });
        Ok(Cluster {
            tasks: tasks.collect::<io::Result<_>>()?,
            written: 0,
        })
    }

    /// One request is answered, and logged by one of the tasks.
    pub fn request(&mut self, now: Time) -> io::Result<()> {
        let task = (self.written % TASKS) as usize;
        self.written += 1;
        self.tasks[task].log(now)
    }

    /// Nothing is held back any more.
    pub fn flush(&mut self) -> io::Result<()> {
        self.tasks
            .iter_mut()
            .try_for_each(|task| task.socket.flush())
    }

    /// Requests so far.
    pub fn written(&self) -> u64 {
        self.written
    }
}

impl Task {
    fn log(&mut self, now: Time) -> io::Result<()> {
        self.line.clear();
        self.traffic.line(now, &mut self.line);
        self.message.clear();
        // An array of three: tag, whole seconds as the driver sends them, a map of four.
        self.message.push(0x93);
        push_str(&mut self.message, TAG);
        self.message.push(0xce);
        self.message
            .extend_from_slice(&(now.seconds() as u32).to_be_bytes());
        self.message.push(0x84);
        let fields = [
            ("container_id", &self.container_id),
            ("container_name", &self.container_name),
            ("source", &"stdout".to_owned()),
            ("log", &self.line),
        ];
        for (key, value) in fields {
            push_str(&mut self.message, key);
            push_str(&mut self.message, value);
        }
        self.socket.write_all(&self.message)
    }
}

/// A msgpack string below 64 KiB.
fn push_str(message: &mut Vec<u8>, text: &str) {
    match text.len() {
        short @ 0..32 => message.push(0xa0 | short as u8),
        len => {
            message.push(0xda);
            message.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    message.extend_from_slice(text.as_bytes());
}
