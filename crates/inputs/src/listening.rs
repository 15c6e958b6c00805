//! What every input that listens has in common: the socket and who may come in.
//!
//! `socket` binds or takes over, `tls` reads the certificates, `door` accepts, `seats` bounds how many connections there
//! are, `passed_on` lets connections go on in the next instance, `stream` is a connection of any kind, `pace` tells the slow from the busy, `tags` makes tags of senders safe,
//! `shards` lets several threads accept on one socket, `notices` keeps floods of connections from becoming floods of messages.

pub mod door;
pub mod notices;
pub mod pace;
pub mod passed_on;
pub mod seats;
pub mod shards;
pub mod socket;
pub mod stream;
pub mod tags;
pub mod tls;
