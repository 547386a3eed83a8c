//! WIP
mod bandwidth;
mod config;
mod ids;
mod packet;
mod reception;
mod rewrite;
mod slab;
mod speakers;
mod ssrc;
mod vp8;
pub use bandwidth::*;
pub use config::*;
pub use ids::*;
pub use packet::*;
pub use ssrc::*;
