//! The voice gateway's shell: connections over TLS and WebSocket, and a task for each session.

mod admission;
mod connection;
mod listener;
mod session;
mod socket;
mod tls;

pub(crate) use admission::Admission;
pub(crate) use listener::{bind, run};
pub(crate) use socket::Socket;
