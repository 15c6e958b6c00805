//! What the task that the router runs in is called in ECS: asked once, of the container's metadata endpoint.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::OnceLock;
use std::time::Duration;

use plugin::Log;
use serde::Deserialize;

/// Where the endpoint stands, the newer one first.
const VARIABLES: [&str; 2] = [
    "ECS_CONTAINER_METADATA_URI_V4",
    "ECS_CONTAINER_METADATA_URI",
];
const PATIENCE: Duration = Duration::from_secs(2);
/// A task's description has some kilobytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Task {
    #[serde(default)]
    cluster: String,
    #[serde(rename = "TaskARN", default)]
    task_arn: String,
}

/// What a name may hold of the task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item {
    /// The last part of the task's ARN.
    TaskId,
    /// The cluster.
    Cluster,
    /// The whole ARN.
    TaskArn,
}

impl Item {
    /// The item that stands for `$(name)`; other names are fields of the record.
    pub fn named(name: &str) -> Option<Item> {
        match name {
            "ecs_task_id" => Some(Item::TaskId),
            "ecs_cluster" => Some(Item::Cluster),
            "ecs_task_arn" => Some(Item::TaskArn),
            _ => None,
        }
    }
}

/// What the task says. `None`, after saying why, where there is no task or it cannot be asked. Blocks when it is asked for
/// the first time, which is when the output is built.
pub fn metadata(item: Item, log: &Log) -> Option<String> {
    static TASK: OnceLock<Option<Task>> = OnceLock::new();
    let task = TASK.get_or_init(|| {
        let Some(uri) = VARIABLES.iter().find_map(|name| std::env::var(name).ok()) else {
            log.error(format_args!(
                "$(ecs_…) is not known outside of ECS: the default name is used"
            ));
            return None;
        };
        fetch(&uri)
            .inspect_err(|error| {
                log.error(format_args!(
                    "$(ecs_…) could not be read from {uri}: {error}; the default name is used"
                ));
            })
            .ok()
    });
    value(task.as_ref()?, item)
}

fn value(task: &Task, item: Item) -> Option<String> {
    let text = match item {
        Item::Cluster => task.cluster.as_str(),
        Item::TaskArn => task.task_arn.as_str(),
        Item::TaskId => task.task_arn.rsplit('/').next()?,
    };
    (!text.is_empty()).then(|| text.to_owned())
}

fn fetch(uri: &str) -> io::Result<Task> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let address = uri
        .strip_prefix("http://")
        .ok_or_else(|| invalid("it does not begin with http://"))?;
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let with_port = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let socket = with_port
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| invalid("the host is not known"))?;
    let mut stream = TcpStream::connect_timeout(&socket, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let path = path.trim_end_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    write!(
        stream,
        "GET {slash}{path}/task HTTP/1.0\r\nHost: {host}\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let end = memchr::memmem::find(&answer, b"\r\n\r\n")
        .ok_or_else(|| invalid("the answer is no HTTP"))?;
    if !answer.starts_with(b"HTTP/1.") || answer.get(8..12) != Some(b" 200") {
        return Err(invalid("the answer has another status than 200"));
    }
    serde_json::from_slice(&answer[end + 4..]).map_err(|error| invalid(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn the_task_is_read_from_the_endpoint() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let uri = format!("http://{}/v4/abc", listener.local_addr().expect("bound"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = Vec::new();
            let mut buffer = [0; 256];
            while !request.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut buffer).expect("a request");
                assert!(read > 0, "a whole request");
                request.extend_from_slice(&buffer[..read]);
            }
            let task =
                r#"{"Cluster":"c","TaskARN":"arn:aws:ecs:us-west-2:1:task/c/37e8","Family":"f"}"#;
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n{task}").expect("sent");
            String::from_utf8(request).expect("text")
        });
        let task = fetch(&uri).expect("a task");
        assert!(
            server
                .join()
                .expect("served")
                .starts_with("GET /v4/abc/task ")
        );
        assert_eq!(value(&task, Item::Cluster).as_deref(), Some("c"));
        assert_eq!(value(&task, Item::TaskId).as_deref(), Some("37e8"));
        assert_eq!(Item::named("ecs_family"), None);
    }
}
