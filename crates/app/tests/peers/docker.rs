//! NGINX in a real Docker Engine: once with the `fluentd` driver, the post's ECS side, and once with json-file logs, its
//! EKS side.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::harness::containers::Docker;
use crate::harness::folder;
use crate::harness::lake::Lake;
use crate::harness::lines::{AGENT, Lines, assert_exactly_once, assert_parsed, unescaped};
use crate::harness::peer::peers;
use crate::harness::places::{Ecs, Eks};
use crate::harness::router::Router;
use crate::harness::web::Web;

/// A node of the post's ECS cluster: its Docker Engine, a web server that logs through the `fluentd` driver, and the lake.
struct EcsNode {
    web: Web,
    ecs: Ecs,
    lake: Lake,
    docker: Docker,
    // Last, because all of them are in it.
    _folder: tempfile::TempDir,
}

impl EcsNode {
    /// Nothing, and that is said, where a peer is not there.
    fn new() -> Option<EcsNode> {
        let [aws] = peers(["FLUMEN_PEER_AWS"])?;
        let folder = folder();
        let docker = Docker::start(folder.path())?;
        let lake = Lake::start(folder.path(), &aws);
        lake.create_stream("ecs-stream", "ecs");
        Some(EcsNode {
            web: Web::new(folder.path()),
            ecs: Ecs::place(folder.path()),
            lake,
            docker,
            _folder: folder,
        })
    }

    fn router(&self) -> Router {
        Router::listening(&self.ecs.configuration, &self.ecs.socket, &self.lake)
    }

    /// Starts NGINX with the driver on the post's socket, `options` added.
    fn start_nginx(&self, options: &[&str]) {
        let address = format!("fluentd-address=unix://{}", self.ecs.socket.display());
        let logging = [
            "--log-driver",
            "fluentd",
            "--log-opt",
            &address,
            "--log-opt",
            "tag=logs-from-nginx",
        ];
        let logging = [&logging, options].concat();
        self.docker.start_nginx("web", &self.web, &logging);
        greeted(&self.lake, "ecs");
    }
}

/// NGINX through 300 requests, the driver's `options` added.
fn through_the_fluentd_driver(options: &[&str]) {
    let Some(mut node) = EcsNode::new() else {
        return;
    };
    let router = node.router();
    node.start_nginx(options);
    node.web.visit(300);
    // The driver gives up what it has not sent ten seconds after its container has ended.
    delivered(&node.lake, "ecs", &node.web);
    let lines = node.docker.stop("web");

    let written = Lines::written(lines.iter().map(String::as_str));
    assert!(written.len() > 300, "{written:?}");
    node.lake.delivered("ecs", written.len());
    router.terminate();
    let records = node.lake.records("ecs");
    assert_exactly_once(&written, &records);
    assert_parsed(&records, "/ok/000001", AGENT);
    assert_unparsed_is_whole(&records);
    node.lake.terminate();
}

/// Waits until what NGINX says on its standard error is in the objects. Only then may it write to its standard output: the
/// driver mixes up the acknowledgements of two streams that write at once, and sends both again.
fn greeted(lake: &Lake, prefix: &str) {
    let last = "start worker process ";
    let greeted = |record: &Value| record["log"].as_str().is_some_and(|log| log.contains(last));
    lake.delivered_when(prefix, last, |records| records.iter().any(greeted));
}

/// Waits until the last request's line is in the objects, and with it all earlier ones.
fn delivered(lake: &Lake, prefix: &str, web: &Web) {
    let last = web.last_path();
    lake.delivered_when(prefix, &last, |records| {
        records.iter().any(|record| record["path"] == last.as_str())
    });
}

/// A line that the post's parser does not take keeps everything that Docker says about it.
fn assert_unparsed_is_whole(records: &[Value]) {
    let forwarded = |record: &&Value| {
        record["log"]
            .as_str()
            .is_some_and(|log| log.contains("203.0.113.7"))
    };
    let record = records
        .iter()
        .find(forwarded)
        .expect("the request with a forwarded-for address");
    assert_eq!(record["source"], "stdout");
    assert_eq!(record["container_name"], "/web");
    assert_eq!(record["container_id"].as_str().map(str::len), Some(64));
}

#[test]
fn docker_fluentd_driver() {
    through_the_fluentd_driver(&[]);
}

#[test]
fn docker_fluentd_driver_waiting_for_acknowledgements() {
    through_the_fluentd_driver(&["--log-opt", "fluentd-request-ack=true"]);
}

#[test]
fn docker_fluentd_driver_with_event_time() {
    through_the_fluentd_driver(&["--log-opt", "fluentd-sub-second-precision=true"]);
}

/// The router may leave and come back: a driver that waits for acknowledgements sends again what it got none for.
#[test]
fn docker_fluentd_driver_while_the_router_restarts() {
    let Some(mut node) = EcsNode::new() else {
        return;
    };
    let first = node.router();
    node.start_nginx(&[
        "--log-opt",
        "fluentd-async=true",
        "--log-opt",
        "fluentd-request-ack=true",
        "--log-opt",
        "fluentd-retry-wait=100ms",
        "--log-opt",
        "fluentd-max-retries=1000",
    ]);
    node.web.visit(100);
    first.terminate();
    node.web.visit(100);
    let second = node.router();
    node.web.visit(100);
    delivered(&node.lake, "ecs", &node.web);
    // What the driver has not sent when a container ends, it discards: so let there be nothing more.
    let lines = node.docker.kill("web");

    let written = Lines::written(lines.iter().map(String::as_str));
    node.lake.delivered("ecs", written.len());
    second.terminate();
    assert_exactly_once(&written, &node.lake.records("ecs"));
}

/// Links a container's log into the folder of container logs, as a Kubernetes node has it.
fn link(docker: &Docker, name: &str, containers: &Path) {
    let link = containers.join(format!("{name}_default_nginx.log"));
    symlink(docker.log_file(name), link).expect("a link in the folder of container logs");
}

/// Docker rotates the file itself while it is tailed: `max-size` is some 250 lines.
#[test]
fn docker_json_files_that_are_rotated() {
    let Some([aws]) = peers(["FLUMEN_PEER_AWS"]) else {
        return;
    };
    let folder = folder();
    let folder = folder.path();
    let Some(docker) = Docker::start(folder) else {
        return;
    };
    let lake = Lake::start(folder, &aws);
    lake.create_stream("eks-stream", "eks");
    let eks = Eks::place(folder);
    let router = Router::tailing(&eks.configuration, &lake);
    let mut web = Web::new(folder);
    docker.start_nginx(
        "web",
        &web,
        &["--log-opt", "max-size=50k", "--log-opt", "max-file=20"],
    );
    link(&docker, "web", &eks.containers);
    // The router looks for new files every ten seconds; what is rotated before it knows the file, it cannot see.
    greeted(&lake, "eks");

    for _ in 0..4 {
        web.visit(200);
        delivered(&lake, "eks", &web);
    }
    let rotated = docker.log_file("web").with_extension("log.2");
    assert!(rotated.exists(), "Docker has rotated at least twice");
    let lines: Vec<String> = docker
        .stop("web")
        .iter()
        .map(|line| unescaped(line))
        .collect();
    let written = Lines::written(lines.iter().map(String::as_str));
    lake.delivered("eks", written.len());
    router.terminate();
    let records = lake.records("eks");
    assert_exactly_once(&written, &records);
    assert_parsed(&records, "/ok/000001", &unescaped(AGENT));
    lake.terminate();
}

/// A second start goes on from the state DB: what was written meanwhile is read, what was delivered is not read again.
#[test]
fn docker_json_files_over_a_restart() {
    let Some([aws]) = peers(["FLUMEN_PEER_AWS"]) else {
        return;
    };
    let folder = folder();
    let folder = folder.path();
    let Some(docker) = Docker::start(folder) else {
        return;
    };
    let lake = Lake::start(folder, &aws);
    lake.create_stream("eks-stream", "eks");
    let eks = Eks::place(folder);
    let first = Router::tailing(&eks.configuration, &lake);
    let mut web = Web::new(folder);
    docker.start_nginx("web", &web, &[]);
    link(&docker, "web", &eks.containers);
    web.visit(100);
    delivered(&lake, "eks", &web);
    web.visit(100);
    first.terminate();
    web.visit(100);
    let second = Router::start(&eks.configuration, &lake);
    web.visit(100);
    let lines: Vec<String> = docker
        .stop("web")
        .iter()
        .map(|line| unescaped(line))
        .collect();
    let written = Lines::written(lines.iter().map(String::as_str));
    lake.delivered("eks", written.len());
    second.terminate();
    assert_exactly_once(&written, &lake.records("eks"));
    lake.terminate();
}
