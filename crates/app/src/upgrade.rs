//! Upgrade and restart without a gap: the process goes on as another binary, which inherits the sockets and descriptors that
//! the inputs gave up, and what they wanted to be told.
//!
//! It is the same process (`execve`), so that whoever watches over it (systemd, a container's runtime) sees nothing, and at
//! no time do two routers work on the same positions. What was handed over lies in a file without a name (`memfd`), whose
//! number stands in the environment; a listening socket keeps its queue of connections, so that none is refused.
//!
//! systemd's socket activation hands sockets over in the same way: `FileDescriptorName=` is the name of the input.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine::Handovers;
use plugin::Handover;
use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;
use serde_json::{Value, json};

/// Names the descriptor of the file that says what is handed over.
const VARIABLE: &str = "FLUMEN_HANDOVER";
/// The version of that file. What later versions add is ignored.
const VERSION: u64 = 1;
/// Descriptors below are the standard ones.
const FIRST: RawFd = 3;
/// How systemd calls a socket without a name, and how inputs call what they listen on.
const LISTENER: &str = "listener";

/// How this process was started, to be started so again.
#[derive(Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    folder: PathBuf,
}

impl Program {
    /// Notes how this process was started: before it changes its folder.
    pub fn this() -> io::Result<Program> {
        let mut arguments = std::env::args_os();
        let called_as = arguments.next().unwrap_or_default();
        Ok(Program {
            path: find(Path::new(&called_as))?,
            arguments: arguments.collect(),
            folder: std::env::current_dir()?,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).current_dir(&self.folder);
        command
    }

    /// Whether what stands at the place of this binary now would start with the same arguments. Waits for it.
    pub fn check(&self) -> Result<(), String> {
        let path = self.path.display();
        let output = self.command().arg("--dry-run").output();
        let output = output.map_err(|error| format!("cannot run {path}: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!(
                "{path} would not start: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )),
        }
    }

    /// Goes on as what stands at the place of this binary now. Returns only if that fails, with the reason and everything
    /// that was to be handed over.
    pub fn become_successor(&self, handovers: Handovers) -> (io::Error, Handovers) {
        let file = match describe(&handovers) {
            Ok(file) => file,
            Err(error) => return (error, handovers),
        };
        let descriptors = handovers
            .values()
            .flat_map(|handover| &handover.descriptors);
        let inherited: Vec<_> = descriptors
            .map(|(_, descriptor)| descriptor.as_fd())
            .chain([file.as_fd()])
            .collect();
        for descriptor in &inherited {
            if let Err(error) = rustix::io::fcntl_setfd(descriptor, FdFlags::empty()) {
                return (error.into(), handovers);
            }
        }
        ignore_early_signals();
        keep_capabilities();
        let error = self
            .command()
            .env(VARIABLE, file.as_raw_fd().to_string())
            .exec();
        for descriptor in inherited {
            // What fails here only means that children inherit it.
            let _ = rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC);
        }
        (error, handovers)
    }
}

/// Until the successor listens for them, these signals would end it.
fn ignore_early_signals() {
    for signal in [libc::SIGHUP, libc::SIGUSR2] {
        // SAFETY: SIG_IGN is a valid disposition of both.
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

/// A process that may gain no privileges loses those of its file with `execve`, unless they are ambient. What fails here
/// was not needed or will be missed by the successor, which says so.
fn keep_capabilities() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let Ok(mut sets) = rustix::thread::capabilities(None) else {
        return;
    };
    sets.inheritable = sets.permitted;
    if rustix::thread::set_capabilities(None, sets).is_ok() {
        for capability in sets.permitted.iter() {
            let _ = rustix::thread::configure_capability_in_ambient_set(capability, true);
        }
    }
}

/// The file that says what is handed over.
fn describe(handovers: &Handovers) -> io::Result<File> {
    let inputs: Vec<Value> = handovers
        .iter()
        .map(|(name, handover)| {
            let descriptors = handover.descriptors.iter();
            let descriptors: Vec<Value> = descriptors
                .map(|(name, descriptor)| json!([name, descriptor.as_raw_fd()]))
                .collect();
            json!({
                "name": name,
                "descriptors": descriptors,
                "state": base64_simd::STANDARD.encode_to_string(&handover.state),
            })
        })
        .collect();
    let description = json!({"version": VERSION, "inputs": inputs});
    let mut file = File::from(rustix::fs::memfd_create("handover", MemfdFlags::CLOEXEC)?);
    file.write_all(description.to_string().as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Takes what was handed over to this process, by the process before it or by systemd. Each descriptor can be taken once:
/// called once, at the start, while there is one thread.
pub fn take() -> Result<Handovers, String> {
    let mut handovers = Handovers::new();
    if let Some(value) = remove_variable(VARIABLE) {
        read(&value, &mut handovers)
            .map_err(|why| format!("what the process before handed over cannot be read: {why}"))?;
    }
    let (process, count) = (remove_variable("LISTEN_PID"), remove_variable("LISTEN_FDS"));
    let names = remove_variable("LISTEN_FDNAMES").unwrap_or_default();
    if let (Some(process), Some(count)) = (process, count)
        && process == std::process::id().to_string()
    {
        take_from_systemd(&count, &names, &mut handovers);
    }
    Ok(handovers)
}

fn remove_variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    // SAFETY: there is one thread, as the caller promises.
    unsafe {
        std::env::remove_var(name);
    }
    Some(value)
}

fn read(value: &str, handovers: &mut Handovers) -> Result<(), String> {
    let number: RawFd = value
        .parse()
        .map_err(|_| format!("'{value}' is no descriptor"))?;
    let mut file = File::from(adopt(number).ok_or_else(|| format!("{number} is not open"))?);
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    let description: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let inputs = description["inputs"]
        .as_array()
        .ok_or("it names no inputs")?;
    for input in inputs {
        let name = input["name"].as_str().ok_or("an input has no name")?;
        let handover = handovers.entry(name.to_owned()).or_default();
        let state = input["state"].as_str().unwrap_or_default();
        handover.state = base64_simd::STANDARD
            .decode_to_vec(state)
            .map_err(|error| error.to_string())?;
        for descriptor in input["descriptors"].as_array().into_iter().flatten() {
            let number = descriptor[1].as_i64().and_then(|n| RawFd::try_from(n).ok());
            if let (Some(name), Some(descriptor)) = (descriptor[0].as_str(), number.and_then(adopt))
            {
                handover.descriptors.push((name.to_owned(), descriptor));
            }
        }
    }
    Ok(())
}

fn take_from_systemd(count: &str, names: &str, handovers: &mut Handovers) {
    let count: RawFd = count.parse().unwrap_or(0);
    let mut names = names.split(':');
    for number in FIRST..FIRST.saturating_add(count.clamp(0, 1024)) {
        let name = names.next().unwrap_or("unknown");
        let name = name.strip_suffix(".socket").unwrap_or(name);
        if let Some(descriptor) = adopt(number) {
            let handover: &mut Handover = handovers.entry(name.to_owned()).or_default();
            handover.descriptors.push((LISTENER.to_owned(), descriptor));
        }
    }
}

/// The open descriptor with this number, closed from now on when it is dropped or another program takes over.
fn adopt(number: RawFd) -> Option<OwnedFd> {
    if number < FIRST {
        return None;
    }
    // SAFETY: asks about a number, whatever it stands for.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 {
        return None;
    }
    // SAFETY: it is open, and it was given to this process to be taken by this function, once.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&descriptor, FdFlags::CLOEXEC).ok()?;
    Some(descriptor)
}

/// The file that was called by `name`, so that a link in its place can be turned to a newer one.
fn find(name: &Path) -> io::Result<PathBuf> {
    let is_program = |path: &Path| {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).ok()?;
        // SAFETY: the path ends with a NUL.
        (unsafe { libc::access(path.as_ptr(), libc::X_OK) } == 0).then_some(())
    };
    if name.components().count() > 1 {
        return std::path::absolute(name);
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| is_program(path).is_some());
    match found {
        Some(found) => std::path::absolute(found),
        None => std::env::current_exe(),
    }
}
