//! What every AWS client of Flumen's outputs shares: credentials, signatures, endpoints, connections, error classes.
//!
//! A [`Client`] calls one service: it asks its [`CredentialsProvider`], signs ([`Signer`]), sends over a kept-alive
//! connection and gives the [`Answer`] or a [`CallError`], which knows what to do about it ([`ErrorClass`]) and whether
//! the request may have been processed ([`Delivery`]). Variables and the clock come in through [`Environment`].
//!
//! Invariants: no plugin, no configuration format, no operation of any service is known here except those that hand
//! out credentials. Nothing is retried but what cannot have been processed; waiting and trying again is the engine's.
//! Secrets show in no message and no `Debug`. TLS never relies on a process-wide default.
//!
//! The calls are few and hot, so they are made by hand instead of with the official SDK: no runtime of its own, no
//! background thread, and about a dozen allocations per request.

mod advice;
mod call_error;
mod client;
mod clock;
mod credentials;
mod endpoint;
mod environment;
mod error_class;
#[cfg(test)]
mod fuzz;
mod net;
mod proxy;
mod service_error;
mod shared_config;
mod signer;
mod tls;
mod transport;
mod xml;

pub use call_error::{CallError, Delivery};
pub use client::{Client, ClientOptions, Request, Server, SetupError};
pub use credentials::{
    Credentials, CredentialsError, CredentialsOptions, CredentialsProvider, InvalidCredentials,
    Look,
};
pub use endpoint::{Endpoint, EndpointError, Service};
pub use environment::Environment;
pub use error_class::ErrorClass;
pub use net::{AddressFamily, NetOptions, TcpKeepalive};
pub use service_error::ServiceError;
pub use signer::{PayloadHash, Signer};
pub use tls::{TlsError, TlsOptions, TlsVersion};
pub use transport::{Answer, Enough, ExchangeError};
pub use xml::text_of as xml_text;
