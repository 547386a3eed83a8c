//! The gateway: connections over WebSocket and WebTransport, and the sessions behind them.

pub mod admission;
pub mod clock;
mod connection;
mod identify;
pub mod identify_line;
pub mod input;
pub mod kept;
pub mod listener;
mod looks;
mod member_requests;
mod presence;
pub mod registry;
mod session_task;
#[doc(hidden)] // For the tests of the protocol, which put an echo behind it.
pub mod socket;
pub mod starts;
mod subscriptions;
mod voice;
#[doc(hidden)] // As `socket`.
pub mod websocket;
pub mod webtransport;
pub mod worker;
