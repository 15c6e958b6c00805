//! The life of the running router: reload, upgrade, stop, one memory limit, secrets. The real binary, under load.

mod handing_over;
mod limits;
mod router;
mod sandbox;
mod secrets;
mod senders;
mod stop;
mod workers;
