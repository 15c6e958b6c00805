//! Container engines of a test's own: their data, sockets and containers lie in its folder and end with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::peer::{peers, skip};
use super::process::{Process, output_of, run};
use super::wait::until;
use super::web::Web;

const NGINX: &str = "flumen-nginx:test";
const SHELL: &str = "flumen-shell:test";

/// How long a daemon may take until it answers.
const STARTING: Duration = Duration::from_secs(60);

/// Podman asks for more than some roots may give, unless it is told what is enough.
const PODMAN_LIMITS: [&str; 4] = [
    "--ulimit",
    "nofile=1024:1024",
    "--ulimit",
    "nproc=1024:1024",
];

/// A Docker Engine with an image of NGINX and one with a shell.
pub struct Docker {
    daemon: Process,
    client: PathBuf,
    folder: PathBuf,
}

impl Docker {
    /// Starts a daemon without a bridge or firewall rules; containers share the machine's network. `None`, once it is
    /// said why, where there is no Docker or it may not run containers.
    pub fn start(folder: &Path) -> Option<Docker> {
        let [dockerd, client, nginx, shell] = peers([
            "FLUMEN_PEER_DOCKERD",
            "FLUMEN_PEER_DOCKER",
            "FLUMEN_PEER_NGINX_IMAGE",
            "FLUMEN_PEER_SHELL_IMAGE",
        ])?;
        let folder = folder.join("docker");
        fs::create_dir(&folder).expect("a folder for Docker");
        let mut command = Command::new(dockerd);
        command
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(folder.join("exec"));
        command
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .arg("--host")
            .arg(format!("unix://{}/socket", folder.display()));
        command.args([
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--storage-driver=vfs",
        ]);
        let daemon = Process::start("dockerd", &mut command, &folder);
        let mut docker = Docker {
            daemon,
            client,
            folder,
        };
        if let Err(reason) = docker.can_run(&nginx, &shell) {
            skip("dockerd", &reason);
            return None;
        }
        Some(docker)
    }

    /// Waits for the daemon, imports the images and runs a container that does nothing. What goes wrong here is the
    /// machine's doing: many sandboxes may not run containers.
    fn can_run(&mut self, nginx: &Path, shell: &Path) -> Result<(), String> {
        let start = Instant::now();
        let mut answers = false;
        until("dockerd to answer, or not to", || {
            answers = run(self.command().arg("version")).status.success();
            answers || self.daemon.ended().is_some() || start.elapsed() > STARTING
        });
        if !answers {
            let log = self.daemon.log();
            let last_words = log.lines().last().unwrap_or("it said nothing");
            return Err(format!("it does not start here: {last_words}"));
        }
        let command = r#"CMD ["nginx", "-g", "daemon off;"]"#;
        self.try_run(&[
            "import",
            "--change",
            command,
            &nginx.to_string_lossy(),
            NGINX,
        ])?;
        self.try_run(&["import", &shell.to_string_lossy(), SHELL])?;
        self.try_run(&["run", "--rm", "--network", "host", SHELL, "/bin/true"])
    }

    fn try_run(&self, arguments: &[&str]) -> Result<(), String> {
        let output = run(self.command().args(arguments));
        if output.status.success() {
            return Ok(());
        }
        let error = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "it cannot {} here: {}",
            arguments[0],
            error.lines().next().unwrap_or_default()
        ))
    }

    /// Starts NGINX as the container `name`, with the given options for its logs, and waits until it listens.
    pub fn start_nginx(&self, name: &str, web: &Web, logging: &[&str]) {
        let mount = format!("{}:/etc/nginx/nginx.conf:ro", web.configuration.display());
        let base = [
            "run",
            "--detach",
            "--name",
            name,
            "--network",
            "host",
            "--volume",
            &mount,
        ];
        self.run(&[&base, logging, &[NGINX]].concat());
        web.ready();
    }

    /// Stops the container and returns every line that it wrote, as the engine kept them.
    pub fn stop(&self, name: &str) -> Vec<String> {
        self.run(&["stop", "--time", "10", name]);
        self.lines(name)
    }

    /// Kills the container, which has no last words then, and returns every line that it wrote.
    pub fn kill(&self, name: &str) -> Vec<String> {
        self.run(&["kill", name]);
        self.lines(name)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let output = run(self.command().args(["logs", name]));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker logs: {error}");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text)
            .lines()
            .map(String::from)
            .collect()
    }

    /// The file into which the json-file driver writes the container's lines.
    pub fn log_file(&self, name: &str) -> PathBuf {
        PathBuf::from(
            self.run(&["inspect", "--format", "{{.LogPath}}", name])
                .trim(),
        )
    }

    fn run(&self, arguments: &[&str]) -> String {
        output_of(self.command().args(arguments))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.client);
        command
            .arg("--host")
            .arg(format!("unix://{}/socket", self.folder.display()));
        command
            .env_remove("DOCKER_HOST")
            .env_remove("DOCKER_CONTEXT");
        command
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // It takes its containers along when it is asked to end, and leaves them when it is killed.
        self.daemon.end();
        // It leaves mounts: of the name spaces that `--network host` shares, and, if it was killed, of its data.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = self.folder.to_string_lossy().into_owned();
        for mount in mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|path| path.starts_with(&below))
        {
            let _ = Command::new("umount")
                .arg(mount)
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Podman with an image of NGINX and one with a shell. It has no daemon.
pub struct Podman {
    program: PathBuf,
    folder: PathBuf,
}

impl Podman {
    /// Imports the images. `None`, once it is said why, where there is no Podman or it may not run containers.
    pub fn start(folder: &Path) -> Option<Podman> {
        let [program, nginx, shell] = peers([
            "FLUMEN_PEER_PODMAN",
            "FLUMEN_PEER_NGINX_IMAGE",
            "FLUMEN_PEER_SHELL_IMAGE",
        ])?;
        let folder = folder.join("podman");
        fs::create_dir(&folder).expect("a folder for Podman");
        let podman = Podman { program, folder };
        let start = ["--change", r#"CMD ["nginx", "-g", "daemon off;"]"#];
        let imports = run(podman
            .command()
            .args(["import", start[0], start[1]])
            .arg(nginx)
            .arg(NGINX));
        let trial = if imports.status.success() {
            let _ = run(podman.command().arg("import").arg(shell).arg(SHELL));
            let base = ["run", "--rm", "--network", "host"];
            run(podman
                .command()
                .args(base)
                .args(PODMAN_LIMITS)
                .args([SHELL, "/bin/true"]))
        } else {
            imports
        };
        if !trial.status.success() {
            let error = String::from_utf8_lossy(&trial.stderr);
            skip(
                "podman",
                &format!(
                    "it cannot run a container here: {}",
                    error.lines().last().unwrap_or_default()
                ),
            );
            return None;
        }
        Some(podman)
    }

    /// Starts NGINX as the container `name`, its lines going to `log` in the CRI format, and waits until it listens.
    pub fn start_nginx(&self, name: &str, web: &Web, log: &Path) {
        let mount = format!("{}:/etc/nginx/nginx.conf:ro", web.configuration.display());
        let path = format!("path={}", log.display());
        let base = [
            "run",
            "--detach",
            "--name",
            name,
            "--network",
            "host",
            "--volume",
            &mount,
        ];
        let logging = ["--log-driver", "k8s-file", "--log-opt", &path];
        self.run(&[&base[..], &PODMAN_LIMITS, &logging, &[NGINX]].concat());
        web.ready();
    }

    /// Runs `script` in a shell to its end, its lines going to `log` in the CRI format.
    pub fn run_shell(&self, script: &str, log: &Path) {
        let path = format!("path={}", log.display());
        let logging = ["--log-driver", "k8s-file", "--log-opt", &path];
        let base = ["run", "--rm", "--network", "none"];
        self.run(
            &[
                &base[..],
                &PODMAN_LIMITS,
                &logging,
                &[SHELL, "/bin/sh", "-c", script],
            ]
            .concat(),
        );
    }

    /// Stops the container.
    pub fn stop(&self, name: &str) {
        self.run(&["stop", "--time", "10", name]);
    }

    fn run(&self, arguments: &[&str]) -> String {
        output_of(self.command().args(arguments))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args([
            "--storage-driver",
            "vfs",
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "file",
        ]);
        for (option, path) in [
            ("--root", "root"),
            ("--runroot", "run"),
            ("--tmpdir", "tmp"),
        ] {
            command.arg(option).arg(self.folder.join(path));
        }
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = run(self
            .command()
            .args(["rm", "--all", "--force", "--time", "0"]));
    }
}
