//! The regional gateway: WebSocket sessions, guild and user owners, and the region's side of each call.
//!
//! [`Region::start`] opens the gateway and makes a [`Region`], which everything else holds: calls that come over the
//! link ([`link_listener`]) and sessions that come over WebSocket both end at the [`owners`]. Architecture invariant:
//! protocol rules live in the cores (`rookery-session`, `rookery-guild`, `rookery-user`); here are tasks, sockets,
//! queues and the order in which things become durable and seen.

pub mod accounts;
pub mod calls;
pub mod config;
pub mod degradation;
mod errors;
pub mod gateway;
pub mod id_generator;
pub mod link_listener;
mod loader;
pub mod operations;
pub mod operator_secret;
pub mod owners;
pub mod passwords;
pub mod peers;
pub mod placement;
pub mod rate_limit;
mod region;
mod running;
pub mod voice;

pub use config::{
    GatewayConfig, OwnersConfig, PresenceConfig, RegionConfig, StreamsConfig, StreamsQuality, WebTransportConfig,
};
pub use operator_secret::OperatorSecret;
pub use rate_limit::RestLimits;
pub use region::{Figures, Region, RegionDeps, WebTransportPlace};
pub use running::{RunningRegion, StartError};
