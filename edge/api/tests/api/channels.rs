//! Channels of guilds, overwrites and invites.

use rookery_model::call::{Call, ChannelPosition, CreateChannel, CreateInvite, ModifyChannel, Reply};
use rookery_model::channel::{ChannelType, Overwrite, OverwriteType};
use rookery_model::{ChannelId, GuildId, Patch, Permissions, Snowflake};
use serde_json::json;

use crate::guilds::channel;
use crate::harness::{Case, call_of, case, check, error, errors_of, not_supported, refused, required};
use crate::samples;

const GUILD: GuildId = GuildId::new(10);
const CHANNEL: ChannelId = ChannelId::new(20);

fn overwrite() -> Overwrite {
    Overwrite {
        id: Snowflake(7),
        kind: OverwriteType::Member,
        allow: Permissions::VIEW_CHANNEL,
        deny: Permissions::SEND_MESSAGES,
    }
}

pub fn cases() -> Vec<Case> {
    let mut cases = channel_cases();
    cases.extend(invite_cases());
    cases
}

fn channel_cases() -> Vec<Case> {
    let (guild_id, channel_id) = (GUILD, CHANNEL);
    let voice = CreateChannel {
        bitrate: Some(64_000),
        user_limit: Some(9),
        parent_id: Some(ChannelId::new(5)),
        position: Some(1),
        permission_overwrites: vec![overwrite()],
        video_quality_mode: Some(2),
        ..channel("Voice", ChannelType::GuildVoice)
    };
    let create = json!({
        "name": "Voice", "type": 2, "bitrate": 64_000, "user_limit": 9, "parent_id": "5", "position": 1,
        "permission_overwrites": [{"id": "7", "type": 1, "allow": "1024", "deny": 2048}], "video_quality_mode": 2,
        "topic": null, "nsfw": null,
    });
    let changes = ModifyChannel {
        name: Some("new".into()),
        kind: Some(ChannelType::GuildAnnouncement),
        topic: Patch::Clear,
        nsfw: Patch::Set(true),
        rate_limit_per_user: Patch::Set(5),
        parent_id: Patch::Clear,
        permission_overwrites: Patch::Set(vec![overwrite()]),
        default_auto_archive_duration: Patch::Set(1_440),
        ..Default::default()
    };
    let patch = json!({
        "name": "new", "type": 5, "topic": "", "nsfw": true, "rate_limit_per_user": 5, "parent_id": null,
        "permission_overwrites": [{"id": "7", "type": 1, "allow": "1024", "deny": "2048"}],
        "default_auto_archive_duration": 1440,
    });
    let positions = vec![
        ChannelPosition { id: CHANNEL, position: Some(0), lock_permissions: true, parent_id: Patch::Clear },
        ChannelPosition { id: ChannelId::new(21), position: None, lock_permissions: false, parent_id: Patch::Keep },
    ];
    let order = json!([{"id": "20", "position": 0, "lock_permissions": true, "parent_id": null}, {"id": "21"}]);
    let put = json!({"type": 1, "allow": "1024", "deny": "2048"});
    vec![
        case!(GET "/guilds/{guild_id}/channels", "/guilds/10/channels", None =>
            Call::ListGuildChannels { guild_id } => 200 Reply::Channels(vec![samples::channel_entity()])),
        case!(POST "/guilds/{guild_id}/channels", "/guilds/10/channels", Some(create) =>
            Call::CreateGuildChannel { guild_id, channel: Box::new(voice) } => 201 samples::channel()),
        case!(PATCH "/guilds/{guild_id}/channels", "/guilds/10/channels", Some(order) =>
            Call::ModifyChannelPositions { guild_id, positions } => 204 Reply::NoContent),
        case!(GET "/channels/{channel_id}", "/channels/20", None => Call::GetChannel { channel_id } => 200 samples::channel()),
        case!(PATCH "/channels/{channel_id}", "/channels/20", Some(patch) =>
            Call::ModifyChannel { channel_id, changes: Box::new(changes) } => 200 samples::channel()),
        case!(DELETE "/channels/{channel_id}", "/channels/20", None =>
            Call::DeleteChannel { channel_id } => 200 samples::channel()),
        case!(POST "/channels/{channel_id}/typing", "/channels/20/typing", None =>
            Call::TriggerTyping { channel_id } => 204 Reply::NoContent),
        case!(PUT "/channels/{channel_id}/permissions/{overwrite_id}", "/channels/20/permissions/7", Some(put) =>
            Call::PutOverwrite { channel_id, overwrite: overwrite() } => 204 Reply::NoContent),
        case!(DELETE "/channels/{channel_id}/permissions/{overwrite_id}", "/channels/20/permissions/7", None =>
            Call::DeleteOverwrite { channel_id, overwrite_id: Snowflake(7) } => 204 Reply::NoContent),
    ]
}

fn invite_cases() -> Vec<Case> {
    let channel_id = CHANNEL;
    let invite = CreateInvite { max_age: 0, max_uses: 5, temporary: false, unique: true };
    let create = json!({"max_age": 0, "max_uses": 5, "temporary": false, "unique": true, "target_type": null});
    let code = || "aB3-x".to_owned();
    vec![
        case!(GET "/channels/{channel_id}/invites", "/channels/20/invites", None =>
            Call::ListChannelInvites { channel_id } => 200 Reply::Invites(Vec::new())),
        case!(POST "/channels/{channel_id}/invites", "/channels/20/invites", Some(create) =>
            Call::CreateInvite { channel_id, invite } => 200 samples::invite()),
        case!(GET "/invites/{code}", "/invites/aB3-x?with_counts=1", None =>
            Call::GetInvite { code: code(), with_counts: true } => 200 samples::invite()),
        case!(POST "/invites/{code}", "/invites/aB3-x", None => Call::AcceptInvite { code: code() } => 200 samples::invite()),
        case!(DELETE "/invites/{code}", "/invites/aB3-x", None => Call::DeleteInvite { code: code() } => 200 samples::invite()),
    ]
}

#[test]
fn ordinary_use() {
    check(cases());
}

#[test]
fn an_invite_has_defaults() {
    let invite = CreateInvite { max_age: 86_400, max_uses: 0, temporary: false, unique: false };
    assert_eq!(call_of("POST", "/channels/20/invites", json!({})), Call::CreateInvite { channel_id: CHANNEL, invite });
    assert_eq!(
        errors_of(
            "POST",
            "/channels/20/invites",
            json!({"max_age": 5_184_001, "max_uses": 101, "temporary": true, "target_type": 1})
        ),
        json!({
            "max_age": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 5184000."),
            "max_uses": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 100."),
            "temporary": not_supported("temporary membership"),
            "target_type": not_supported("invites to streams and activities"),
        })
    );
}

#[test]
fn what_cannot_be_a_code_is_no_invite() {
    for code in ["a%20b", "%F0%9F%91%8D", &"x".repeat(33), "a.b"] {
        let (status, answer) = refused("GET", &format!("/invites/{code}"), json!({}));
        assert_eq!((status, answer), (404, json!({"message": "Unknown Invite", "code": 10006})), "{code}");
    }
}

#[test]
fn wrong_channels() {
    assert_eq!(
        errors_of(
            "POST",
            "/guilds/10/channels",
            json!({
                "name": "", "type": 15, "topic": "x".repeat(1025), "bitrate": 7999, "user_limit": 100,
                "rate_limit_per_user": 21_601, "position": -1, "nsfw": "no", "parent_id": [], "video_quality_mode": 3,
                "default_auto_archive_duration": 61, "available_tags": [{"name": "x"}],
                "permission_overwrites": [{"type": 2, "allow": "x"}, 5],
            })
        ),
        json!({
            "name": error("BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length."),
            "type": error("BASE_TYPE_CHOICES", "Value must be one of {0, 2, 4, 5, 13}."),
            "topic": error("BASE_TYPE_MAX_LENGTH", "Must be 1024 or fewer in length."),
            "bitrate": error("NUMBER_TYPE_MIN", "int value should be greater than or equal to 8000."),
            "user_limit": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 99."),
            "rate_limit_per_user": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 21600."),
            "position": error("NUMBER_TYPE_MIN", "int value should be greater than or equal to 0."),
            "nsfw": error("BOOLEAN_TYPE_CONVERT", "Must be either true or false."),
            "parent_id": error("NUMBER_TYPE_COERCE", "Value \"[…]\" is not snowflake."),
            "video_quality_mode": error("BASE_TYPE_CHOICES", "Value must be one of {1, 2}."),
            "default_auto_archive_duration": error("BASE_TYPE_CHOICES", "Value must be one of {60, 1440, 4320, 10080}."),
            "available_tags": not_supported("forum channels"),
            "permission_overwrites": {
                "0": {
                    "id": required(),
                    "type": error("BASE_TYPE_CHOICES", "Value must be one of {0, 1}."),
                    "allow": error("NUMBER_TYPE_COERCE", "Value \"x\" is not int."),
                },
                "1": error("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType"),
            },
        })
    );
    assert_eq!(
        errors_of("PATCH", "/channels/20", json!({"name": "x".repeat(101), "icon": "data:", "archived": true})),
        json!({
            "name": error("BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length."),
            "icon": not_supported("icons of group DMs"),
            "archived": not_supported("threads"),
        })
    );
    assert_eq!(
        errors_of("PUT", "/channels/x/permissions/y", json!({"allow": true})),
        json!({
            "channel_id": error("NUMBER_TYPE_COERCE", "Value \"x\" is not snowflake."),
            "overwrite_id": error("NUMBER_TYPE_COERCE", "Value \"y\" is not snowflake."),
            "allow": error("NUMBER_TYPE_COERCE", "Value \"true\" is not int."),
        })
    );
}

#[test]
fn an_overwrite_is_for_a_role_unless_it_says() {
    let Call::PutOverwrite { overwrite, .. } = call_of("PUT", "/channels/20/permissions/30", json!({})) else {
        panic!()
    };
    assert_eq!(
        (overwrite.kind, overwrite.allow, overwrite.deny),
        (OverwriteType::Role, Default::default(), Default::default())
    );
}
