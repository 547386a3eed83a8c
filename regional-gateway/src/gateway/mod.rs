//! The gateway: connections over WebSocket and WebTransport, and the sessions behind them.

pub mod clock;
mod connection;
mod identify;
pub mod input;
pub mod listener;
mod member_requests;
pub mod registry;
mod session_task;
mod socket;
pub mod starts;
mod subscriptions;
mod websocket;
pub mod webtransport;
