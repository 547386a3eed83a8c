//! The gateway's codes, intents, what clients send and what is dispatched to them.

mod activity;
mod call;
mod call_connect;
mod capabilities;
mod channel_info;
mod close_code;
pub mod event;
mod guild_member_list_update;
pub mod guild_subscriptions;
mod identify;
mod intents;
mod opcode;
mod passive_update;
mod presence;
mod presence_update;
mod request_channel_info;
mod request_guild_members;
mod request_soundboard_sounds;
mod resume;
mod sessions_replace;
mod soundboard_sounds;
mod stream;
mod subscriber_id;
mod voice_channel_status_update;
mod voice_state;
mod voice_state_update;

pub use activity::{
    Activity, ActivityAssets, ActivityEmoji, ActivityParty, ActivitySecrets, ActivityTimestamps, ActivityType,
};
pub use call::{CallCreate, CallDelete, CallMessageUpdate, CallSessionEvent, CallUpdate};
pub use call_connect::CallConnect;
pub use capabilities::Capabilities;
pub use channel_info::{ChannelInfo, ChannelInfoChannel};
pub use close_code::CloseCode;
pub use event::Event;
pub use guild_member_list_update::{
    GuildMemberListUpdate, ListMember, MemberGroup, MemberGroupId, MemberListItem, MemberListOp,
};
pub use guild_subscriptions::{GuildSubscriptions, GuildSubscriptionsBulk, Subscription};
pub use identify::{GatewayToken, Identify, IdentifyProperties, Shard};
pub use intents::Intents;
pub use opcode::Opcode;
pub use passive_update::{PassiveChannel, PassiveUpdateV1, PassiveUpdateV2};
pub use presence::{ACTIVITIES_MAX, ClientKind, ClientStatus, Presence, PresenceEvent, PresenceUser};
pub use presence_update::{PresenceUpdate, Status};
pub use request_channel_info::RequestChannelInfo;
pub use request_guild_members::{GuildMembersChunk, RequestGuildMembers};
pub use request_soundboard_sounds::RequestSoundboardSounds;
pub use resume::Resume;
pub use sessions_replace::{ClientInfo, OwnSession};
pub use soundboard_sounds::SoundboardSounds;
pub use stream::{
    ParseStreamKeyError, StreamAction, StreamCreate, StreamCreated, StreamDeleteReason, StreamDeleted, StreamKey,
    StreamName, StreamRequest, StreamServerUpdate, StreamSetPaused, StreamUpdate,
};
pub use subscriber_id::SubscriberId;
pub use voice_channel_status_update::VoiceChannelStatusUpdate;
pub use voice_state::VoiceState;
pub use voice_state_update::VoiceStateUpdate;
