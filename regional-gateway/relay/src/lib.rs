//! Ordered streams of frames between two nodes over messages that may be lost, as a state machine.
//!
//! A [`Link`] is one node's end towards one other node. What the caller sends comes out there in order and exactly once,
//! whatever the bus between them drops, repeats, reorders or delays; or, where that cannot be had, after an event that
//! says so: [`Event::InboundLost`] and [`Event::Restarted`] come before the first frame behind a hole, so that whoever
//! builds on the stream can fail closed.
//!
//! - [`Outlet`] numbers frames and keeps them until they are acknowledged. It tells the number of the newest one with every
//!   packet and, when nothing else is to be sent, in a tail digest, so that a lost last frame is noticed too.
//! - [`Inlet`] drops repeats, holds what came too early, asks for what is missing and acknowledges the rest.
//! - [`Link`] puts both into the same packets, finds out which process the peer is, and whether it is there.
//!
//! There is no clock, socket or randomness in here: `now_ms` counts from any point and never goes back.
//!
//! ```
//! use rookery_relay::{Event, Link, RelayConfig};
//! use std::sync::Arc;
//!
//! let config = Arc::new(RelayConfig::default());
//! let mut here = Link::new(Arc::clone(&config), "eu.eu-1", 7, 0).unwrap();
//! let mut there = Link::new(config, "us.us-1", 9, 0).unwrap();
//! here.send(0, bytes::Bytes::from_static(b"hello")).unwrap();
//! for now_ms in 0..3 {
//!     while let Some(packet) = here.poll_transmit(now_ms) {
//!         assert_eq!(rookery_relay::peek_source(&packet), Ok("eu.eu-1"));
//!         there.handle_packet(now_ms, packet).ok();
//!     }
//!     while let Some(packet) = there.poll_transmit(now_ms) {
//!         here.handle_packet(now_ms, packet).ok();
//!     }
//! }
//! assert_eq!(there.poll_event(), Some(Event::Up { incarnation: 7 }));
//! assert_eq!(there.poll_event(), Some(Event::Frame(bytes::Bytes::from_static(b"hello"))));
//! ```

mod config;
mod handshake;
mod inlet;
mod link;
mod outlet;
mod refused;
mod rtt;
mod stats;
pub mod wire;

pub use config::RelayConfig;
pub use inlet::Inlet;
pub use link::{Event, Link};
pub use outlet::{Outlet, SendError};
pub use refused::Refused;
pub use stats::Stats;
pub use wire::peek_source;
