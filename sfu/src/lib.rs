//! The voice node: what @discordjs/voice, discord.py, songbird and others connect to.
//!
//! A shell around five cores: [`rookery_voice_session`] speaks the voice gateway, [`rookery_rtp`] and [`rookery_webrtc`] read
//! and write what is on a UDP socket, [`rookery_forwarder`] decides who hears and sees whom.
//!
//! - [`VoiceServer::start`] opens the ports: a TLS WebSocket listener, and for each core of the machine a UDP socket with a
//!   thread of its own. A room is on one of these threads, which no other touches, so nothing done for a packet is locked.
//! - A voice session is a task. It asks its room's thread for things over a bounded channel, and what the room tells comes
//!   into a bounded mailbox; a room never waits for a session.
//! - [`VoiceNode`] is how the owners of guilds and calls rule: nobody comes in whom they did not prepare. Requests, replies
//!   and events are plain structures of [`rookery_model::voice::node`], which may cross processes.
//! - A room may be at several nodes: `media::cascade` has its links to others, which [`rookery_node_link`] writes and reads.
//!
//! Not done here yet: end-to-end encryption and streams of Go Live.

mod clock;
mod config;
pub mod control;
mod directory;
mod events;
mod gateway;
mod mail;
mod mailbox;
mod media;
mod node;
mod outlet;
mod room_metrics;
mod secret;
mod server;
mod shared;
mod turn;

pub use config::SfuConfig;
pub use node::VoiceNode;
pub use server::{StartError, VoiceServer};
pub use turn::TurnConfig;
