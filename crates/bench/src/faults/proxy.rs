//! A proxy on this machine's loopback that does to connections what networks do to them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use memchr::memmem;

/// How often a stalled or silent connection looks whether that has changed.
const LOOK: Duration = Duration::from_millis(20);
/// How long a request may be held for whoever watches for it.
const HOLD_MAX: Duration = Duration::from_secs(20);

/// What is done to connections. Counts of bytes begin when it is set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Toxic {
    /// Nothing.
    #[default]
    None,
    /// New connections and those at work are reset.
    Reset,
    /// Nothing passes in either direction, and nothing says so: a half-open connection.
    Stall,
    /// The connection is reset after so many bytes of requests.
    CutRequest(u64),
    /// The connection is reset after so many bytes of answers.
    CutAnswer(u64),
    /// Answers are swallowed, and the connection closed instead.
    DropAnswer,
    /// Answers come a byte at a time, with such a pause before each.
    Slow(Duration),
    /// Answers come later, each by a random part of such a time.
    Delay(Duration),
}

/// At what moment a watched request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the service gets it.
    Before,
    /// When the service has answered, before the sender gets the answer.
    After,
}

#[derive(Default)]
struct Settings {
    toxic: Toxic,
    /// On how many connections it may still act; none: on all of them.
    times: Option<u64>,
    /// Which request is held.
    watch: Option<(&'static str, Moment)>,
    /// One is held.
    is_held: bool,
    /// Changes whenever the toxic does, so that connections count anew.
    version: u64,
}

#[derive(Default)]
struct Shared {
    settings: Mutex<Settings>,
    changed: Condvar,
    is_over: AtomicBool,
    /// How often a toxic has acted.
    acted: AtomicU64,
}

/// A running proxy; it ends with this value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Passes what comes to a port of its own on to `target`.
    pub fn start(target: SocketAddr) -> io::Result<Proxy> {
        Proxy::on(TcpListener::bind("127.0.0.1:0")?, target)
    }

    /// Passes what comes to `listener` on to `target`.
    pub fn on(listener: TcpListener, target: SocketAddr) -> io::Result<Proxy> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        listener.set_nonblocking(true)?;
        std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || accept(&listener, target, &accepting))?;
        Ok(Proxy { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this to all connections from now on.
    pub fn set(&self, toxic: Toxic) {
        self.arm(toxic, None);
    }

    /// Does this to the next connection that it fits, and lets all others pass.
    pub fn once(&self, toxic: Toxic) {
        self.arm(toxic, Some(1));
    }

    fn arm(&self, toxic: Toxic, times: Option<u64>) {
        let mut settings = self.shared.settings();
        settings.toxic = toxic;
        settings.times = times;
        settings.version += 1;
        self.shared.changed.notify_all();
    }

    /// How often a toxic has acted.
    pub fn acted(&self) -> u64 {
        self.shared.acted.load(Ordering::Relaxed)
    }

    /// Holds the next request that contains `text`.
    pub fn watch(&self, text: &'static str, moment: Moment) {
        let mut settings = self.shared.settings();
        settings.watch = Some((text, moment));
        settings.is_held = false;
    }

    /// Waits until such a request is held.
    pub fn wait_held(&self, longest: Duration) -> bool {
        let end = Instant::now() + longest;
        let mut settings = self.shared.settings();
        while !settings.is_held {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            settings = match self.shared.changed.wait_timeout(settings, left) {
                Ok((settings, _)) => settings,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }

    /// Lets what is held go.
    pub fn release(&self) {
        let mut settings = self.shared.settings();
        settings.watch = None;
        settings.is_held = false;
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.release();
    }
}

impl Shared {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Takes one of the times that the toxic may act.
    fn take(&self) -> bool {
        let mut settings = self.settings();
        let may = match &mut settings.times {
            None => true,
            Some(0) => false,
            Some(times) => {
                *times -= 1;
                true
            }
        };
        self.acted.fetch_add(u64::from(may), Ordering::Relaxed);
        may
    }

    /// Holds the calling connection until it is let go, if nothing is held yet.
    fn hold(&self) {
        let mut settings = self.settings();
        if settings.watch.is_none() || settings.is_held {
            return;
        }
        settings.is_held = true;
        self.changed.notify_all();
        let end = Instant::now() + HOLD_MAX;
        while settings.is_held && !self.is_over() && Instant::now() < end {
            settings = match self.changed.wait_timeout(settings, LOOK) {
                Ok((settings, _)) => settings,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    while !shared.is_over() {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(_) => {
                std::thread::sleep(LOOK / 4);
                continue;
            }
        };
        if shared.settings().toxic == Toxic::Reset && shared.take() {
            reset(&client);
            continue;
        }
        let shared = Arc::clone(shared);
        // Without a thread the connection is dropped, which is a fault like any other.
        let _ = std::thread::Builder::new()
            .name("proxied".to_owned())
            .spawn(move || connection(client, target, &shared));
    }
}

fn connection(client: TcpStream, target: SocketAddr, shared: &Arc<Shared>) {
    let Ok(service) = TcpStream::connect(target) else {
        reset(&client);
        return;
    };
    for stream in [&client, &service] {
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(LOOK));
    }
    let watched = Arc::new(AtomicBool::new(false));
    let (Ok(client_too), Ok(service_too)) = (client.try_clone(), service.try_clone()) else {
        return;
    };
    let requests = Pump {
        from: client,
        to: service,
        is_answer: false,
        watched: Arc::clone(&watched),
        shared: Arc::clone(shared),
    };
    let answers = Pump {
        from: service_too,
        to: client_too,
        is_answer: true,
        watched,
        shared: Arc::clone(shared),
    };
    let back = std::thread::Builder::new().spawn(move || answers.run());
    requests.run();
    if let Ok(back) = back {
        let _ = back.join();
    }
}

/// One direction of a connection.
struct Pump {
    from: TcpStream,
    to: TcpStream,
    is_answer: bool,
    /// The request under way is one that is watched for after its answer.
    watched: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

/// What becomes of a piece.
enum Fate {
    Passes,
    /// So much of it passes before the connection is reset.
    Cut(usize),
    Dropped,
}

impl Pump {
    fn run(mut self) {
        let mut piece = vec![0; 64 << 10];
        let (mut version, mut passed) = (0, 0);
        while !self.shared.is_over() {
            let (toxic, now) = {
                let settings = self.shared.settings();
                (settings.toxic, settings.version)
            };
            if now != version {
                (version, passed) = (now, 0);
            }
            match toxic {
                Toxic::Stall => {
                    std::thread::sleep(LOOK);
                    continue;
                }
                Toxic::Reset if self.shared.take() => return self.reset(),
                _ => {}
            }
            let read = match self.from.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if is_silence(&error) => continue,
                Err(_) => return self.reset(),
            };
            match self.fate(toxic, passed, read) {
                Fate::Passes => {}
                Fate::Dropped => return self.reset(),
                Fate::Cut(rest) => {
                    let _ = self.to.write_all(&piece[..rest]);
                    return self.reset();
                }
            }
            self.look(&piece[..read]);
            if self.pass(toxic, &piece[..read]).is_err() {
                return self.reset();
            }
            passed += read as u64;
        }
        let _ = self.to.shutdown(Shutdown::Write);
    }

    fn fate(&self, toxic: Toxic, passed: u64, read: usize) -> Fate {
        let cut = |at: u64| match passed + read as u64 > at && self.shared.take() {
            true => Fate::Cut(at.saturating_sub(passed) as usize),
            false => Fate::Passes,
        };
        match (toxic, self.is_answer) {
            (Toxic::CutRequest(at), false) | (Toxic::CutAnswer(at), true) => cut(at),
            (Toxic::DropAnswer, true) if self.shared.take() => Fate::Dropped,
            _ => Fate::Passes,
        }
    }

    /// Holds the piece if it is watched for.
    fn look(&self, piece: &[u8]) {
        let Some((text, moment)) = self.shared.settings().watch else {
            return;
        };
        if self.is_answer {
            if self.watched.swap(false, Ordering::Relaxed) {
                self.shared.hold();
            }
        } else if memmem::find(piece, text.as_bytes()).is_some() {
            match moment {
                Moment::Before => self.shared.hold(),
                Moment::After => self.watched.store(true, Ordering::Relaxed),
            }
        }
    }

    fn pass(&mut self, toxic: Toxic, piece: &[u8]) -> io::Result<()> {
        match toxic {
            Toxic::Slow(pause) if self.is_answer => piece.iter().try_for_each(|byte| {
                // What is left when the toxic ends comes at once.
                if self.shared.settings().toxic == toxic {
                    std::thread::sleep(pause);
                }
                self.to.write_all(&[*byte])
            }),
            Toxic::Delay(longest) if self.is_answer => {
                std::thread::sleep(longest.mul_f64(fastrand::f64()));
                self.to.write_all(piece)
            }
            _ => self.to.write_all(piece),
        }
    }

    fn reset(&self) {
        reset(&self.from);
        reset(&self.to);
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Ends a connection with a reset instead of an orderly end: both directions at once, whoever else holds the socket.
fn reset(stream: &TcpStream) {
    // SAFETY: all bytes of an address may be zero; that is an address of no family, which disconnects.
    let nobody: libc::sockaddr = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and the address is of the size that is said.
    unsafe {
        libc::connect(
            stream.as_raw_fd(),
            &raw const nobody,
            size_of::<libc::sockaddr>() as libc::socklen_t,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that answers each five bytes with "answer".
    fn service() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut request = [0; 5];
                    while stream.read_exact(&mut request).is_ok() {
                        if stream.write_all(b"answer").is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn call(proxy: &Proxy) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(proxy.address())?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"hello")?;
        let mut answer = vec![0; 6];
        let (mut read, whole) = (0, answer.len());
        while read < whole {
            match stream.read(&mut answer[read..])? {
                0 => break,
                more => read += more,
            }
        }
        answer.truncate(read);
        Ok(answer)
    }

    #[test]
    fn it_passes_on_and_cuts_as_told() {
        let proxy = Proxy::start(service()).unwrap();
        assert_eq!(call(&proxy).unwrap(), b"answer");
        proxy.once(Toxic::CutAnswer(3));
        let cut = call(&proxy);
        assert!(
            cut.as_ref().is_ok_and(|text| text.len() < 6) || cut.is_err(),
            "{cut:?}"
        );
        assert_eq!(call(&proxy).unwrap(), b"answer", "only once");
        proxy.set(Toxic::DropAnswer);
        for _ in 0..2 {
            assert!(call(&proxy).map_or(true, |text| text.is_empty()));
        }
        proxy.set(Toxic::Reset);
        assert!(call(&proxy).map_or(true, |text| text.is_empty()));
        proxy.set(Toxic::None);
        assert_eq!(call(&proxy).unwrap(), b"answer");
        assert!(proxy.acted() >= 4);
    }

    #[test]
    fn a_request_is_held_until_it_is_let_go() {
        let proxy = Arc::new(Proxy::start(service()).unwrap());
        for moment in [Moment::Before, Moment::After] {
            proxy.watch("hell", moment);
            let calling = Arc::clone(&proxy);
            let thread = std::thread::spawn(move || call(&calling));
            assert!(proxy.wait_held(Duration::from_secs(5)));
            assert!(!thread.is_finished());
            proxy.release();
            assert_eq!(thread.join().unwrap().unwrap(), b"answer");
        }
        assert!(!proxy.wait_held(Duration::from_millis(10)));
    }
}
