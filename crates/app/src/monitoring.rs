//! The monitoring server as `[SERVICE]` configures it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

use config::{LogLevel, ServiceOptions};
use engine::Handovers;
use monitor::{Admin, HealthLimits, Monitor, Reload, Watched};
use plugin::{Handover, Log};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, spawn_local};

use crate::operator::Control;
use crate::registry;

/// The name under which its socket is handed over.
pub const NAME: &str = "http_server";
/// The name of the socket there.
const LISTENER: &str = "listener";
/// Where the token is if no file is configured.
const TOKEN_VARIABLE: &str = "FLUMEN_ADMIN_TOKEN";

/// What the monitoring server needs of `[SERVICE]`.
pub struct MonitorSettings {
    listen: String,
    port: u16,
    limits: HealthLimits,
    health_check: bool,
    token_file: Option<PathBuf>,
}

/// A server that runs.
pub struct Serving {
    task: JoinHandle<()>,
    socket: Option<OwnedFd>,
}

impl MonitorSettings {
    /// The settings, if there is to be a server.
    pub fn new(service: &ServiceOptions) -> Option<MonitorSettings> {
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        service.http_server.0.then(|| MonitorSettings {
            listen: service.http_listen.clone(),
            port: service.http_port,
            limits: HealthLimits {
                errors: count(service.health_errors),
                retries_failed: count(service.health_retry_failures),
                period_seconds: service.health_period.0.as_secs() as usize,
            },
            health_check: service.health_check.0,
            token_file: service.admin_token_file.clone(),
        })
    }

    /// Serves on the inherited socket, or on a new one.
    pub async fn serve(
        self,
        watched: Watched,
        inherited: Option<Handover>,
        control: Rc<Control>,
        level: LogLevel,
    ) -> Result<Serving, String> {
        let log = Log::new("http_server", level);
        let listener = self.listener(inherited)?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let token = self.token()?;
        log.info(format_args!("listen iface={address}"));
        if !address.ip().is_loopback() {
            log.warn(format_args!(
                "other machines can read metrics at {address}; {}",
                match &token {
                    Some(_) => "with the token they can reload the configuration",
                    None => "without a token they can change nothing",
                }
            ));
        }
        let may_reload = control.may_reload();
        let reload: Reload = Rc::new(move || {
            let control = Rc::clone(&control);
            Box::pin(async move { control.reload().await })
        });
        let admin = Admin {
            reload: may_reload.then_some(reload),
            token,
            listen: self.listen,
        };
        let monitor = Monitor::new(
            watched,
            admin,
            self.limits,
            self.health_check,
            registry::names(),
        );
        let listener = listener.into_std().map_err(|error| error.to_string())?;
        let socket = listener.try_clone().ok().map(OwnedFd::from);
        let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
        let task = spawn_local(monitor::serve(listener, Rc::new(monitor), log));
        Ok(Serving { task, socket })
    }

    fn listener(&self, inherited: Option<Handover>) -> Result<TcpListener, String> {
        let address = format!("{}:{}", self.listen, self.port);
        let refused = |error: std::io::Error| format!("cannot listen on {address}: {error}");
        let descriptors = inherited
            .map(|handover| handover.descriptors)
            .unwrap_or_default();
        let socket = descriptors
            .into_iter()
            .map(|(_, socket)| std::net::TcpListener::from(socket))
            .find(|socket| {
                // Another port may have been configured since.
                let port = socket.local_addr().map(|address| address.port());
                self.port == 0 || port.is_ok_and(|port| port == self.port)
            });
        let listener = match socket {
            Some(socket) => socket,
            None => std::net::TcpListener::bind(&address).map_err(refused)?,
        };
        listener.set_nonblocking(true).map_err(refused)?;
        TcpListener::from_std(listener).map_err(refused)
    }

    /// The token, from its file or the environment. A file that cannot be read or is empty is an error: whoever names one
    /// wants protection.
    fn token(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.token_file else {
            let token = std::env::var(TOKEN_VARIABLE).ok();
            return Ok(token.filter(|token| !token.is_empty()));
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read admin_token_file {}: {error}", path.display()))?;
        match text.trim() {
            "" => Err(format!("admin_token_file {} is empty", path.display())),
            token => Ok(Some(token.to_owned())),
        }
    }
}

impl Serving {
    /// Ends it; what it gives up stands under its name.
    pub fn give_up(self) -> Handovers {
        self.task.abort();
        let descriptors = self.socket.into_iter();
        let handover = Handover {
            descriptors: descriptors
                .map(|socket| (LISTENER.to_owned(), socket))
                .collect(),
            ..Handover::default()
        };
        Handovers::from([(NAME.to_owned(), handover)])
    }
}
