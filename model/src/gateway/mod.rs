//! The gateway's codes, intents, what clients send and what is dispatched to them.

mod close_code;
pub mod event;
mod guild_subscriptions;
mod identify;
mod intents;
mod opcode;
mod presence_update;
mod request_guild_members;
mod request_soundboard_sounds;
mod resume;
mod subscriber_id;
mod voice_state_update;

pub use close_code::CloseCode;
pub use event::Event;
pub use guild_subscriptions::GuildSubscriptions;
pub use identify::{GatewayToken, Identify, IdentifyProperties, Shard};
pub use intents::Intents;
pub use opcode::Opcode;
pub use presence_update::{Activity, PresenceUpdate, Status};
pub use request_guild_members::{GuildMembersChunk, RequestGuildMembers};
pub use request_soundboard_sounds::RequestSoundboardSounds;
pub use resume::Resume;
pub use subscriber_id::SubscriberId;
pub use voice_state_update::VoiceStateUpdate;
