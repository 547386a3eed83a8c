//! Entities as a region might answer them, read from JSON so that a field more in the model changes nothing here.

use rookery_model::call::Reply;
use rookery_model::channel::{Channel, ChannelType};
use rookery_model::guild::{Guild, GuildProperties};
use rookery_model::member::{Member, MemberRow};
use rookery_model::message::{Message, MessageRow};
use rookery_model::role::Role;
use rookery_model::user::{Account, User};
use rookery_model::{ChannelId, GuildId, UserId};
use serde_json::{Value, from_value, json};

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    from_value(value).unwrap()
}

pub fn user() -> User {
    User::new(UserId::new(7), "ann")
}

pub fn current_user() -> Reply {
    let account: Account = read(json!({ "user": user(), "email": "ann@example.com", "verified": true }));
    Reply::CurrentUser(Box::new(account.current_user()))
}

pub fn guild_entity() -> Guild {
    Guild {
        properties: GuildProperties::new(GuildId::new(9_007_199_254_740_993), "Birds", UserId::new(7)),
        roles: vec![role_entity()],
        emojis: Vec::new(),
        stickers: Vec::new(),
        incidents_data: None,
        approximate_member_count: None,
        approximate_presence_count: None,
    }
}

pub fn guild() -> Reply {
    Reply::Guild(Box::new(guild_entity()))
}

pub fn role_entity() -> Role {
    read(json!({
        "id": "30", "name": "mods", "color": 0, "hoist": false, "position": 1, "permissions": "2",
        "managed": false, "mentionable": false,
    }))
}

pub fn role() -> Reply {
    Reply::Role(Box::new(role_entity()))
}

pub fn channel_entity() -> Channel {
    Channel::new(ChannelId::new(20), ChannelType::GuildText)
}

pub fn channel() -> Reply {
    Reply::Channel(Box::new(channel_entity()))
}

pub fn member_entity() -> Member {
    let row: MemberRow = read(json!({
        "guild_id": "10", "user_id": "7", "roles": ["30"], "joined_at": "2021-08-10T11:16:37.020000+00:00",
    }));
    row.view(Some(user()))
}

pub fn member() -> Reply {
    Reply::Member(Box::new(member_entity()))
}

pub fn message_entity() -> Message {
    let row: MessageRow = read(json!({
        "channel_id": "20", "id": "175928847299117063", "author_id": "7", "type": 0, "content": "hello",
    }));
    row.view(user(), Vec::new(), Vec::new())
}

pub fn message() -> Reply {
    Reply::Message(Box::new(message_entity()))
}

pub fn invite() -> Reply {
    Reply::Invite(read(json!({
        "type": 0, "code": "abc", "guild_id": "10", "guild": null, "channel": { "id": "20", "name": "x", "type": 0 },
        "expires_at": null,
    })))
}

pub fn application() -> Reply {
    Reply::Application(read(json!({
        "id": "40", "name": "bot", "description": "", "summary": "", "icon": null, "type": null, "bot_public": true,
        "bot_require_code_grant": false, "flags": 0, "verify_key": "", "tags": [], "rpc_origins": [],
        "redirect_uris": [], "approximate_guild_count": 0, "approximate_user_install_count": 0, "owner": user(),
    })))
}

pub fn voice_state() -> Reply {
    Reply::VoiceState(read(json!({
        "guild_id": "10", "channel_id": "20", "user_id": "7", "session_id": "s", "deaf": false, "mute": false,
        "self_deaf": false, "self_mute": false, "self_video": false, "suppress": true,
        "request_to_speak_timestamp": null,
    })))
}

pub fn stage_instance() -> Reply {
    Reply::StageInstance(read(json!({
        "id": "50", "guild_id": "10", "channel_id": "20", "topic": "Owls", "privacy_level": 2,
        "discoverable_disabled": false, "guild_scheduled_event_id": null,
    })))
}

pub fn token() -> Reply {
    Reply::Token { token: "t".into(), user_id: UserId::new(7) }
}
