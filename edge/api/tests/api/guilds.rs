//! `/guilds`: guilds, roles and members.

use rookery_model::call::{
    Call, CreateChannel, CreateGuild, CreateRole, ModifyGuild, ModifyMember, ModifyRole, Reply, RolePosition,
};
use rookery_model::channel::{ChannelType, Overwrite, OverwriteType};
use rookery_model::color::RoleColors;
use rookery_model::{ChannelId, GuildId, Patch, Permissions, RoleId, Snowflake, Timestamp, UserId};
use serde_json::json;

use crate::harness::{Case, NOW_MS, call_of, case, check, error, errors_of, not_supported, required};
use crate::samples;

const GUILD: GuildId = GuildId::new(10);
const USER: UserId = UserId::new(7);
const ROLE: RoleId = RoleId::new(30);

pub fn channel(name: &str, kind: ChannelType) -> CreateChannel {
    CreateChannel {
        name: name.into(),
        kind,
        topic: None,
        bitrate: None,
        user_limit: None,
        rate_limit_per_user: None,
        position: None,
        permission_overwrites: Vec::new(),
        parent_id: None,
        nsfw: false,
        rtc_region: None,
        video_quality_mode: None,
        default_auto_archive_duration: None,
    }
}

fn new_guild(name: &str) -> CreateGuild {
    CreateGuild {
        name: name.into(),
        verification_level: None,
        default_message_notifications: None,
        explicit_content_filter: None,
        afk_timeout: None,
        roles: Vec::new(),
        channels: Vec::new(),
        system_channel_id: None,
        afk_channel_id: None,
        system_channel_flags: None,
    }
}

pub fn cases() -> Vec<Case> {
    let mut cases = guild_cases();
    cases.extend(role_cases());
    cases.extend(member_cases());
    cases
}

fn guild_cases() -> Vec<Case> {
    let changes = ModifyGuild {
        name: Some("Owls".into()),
        description: Patch::Clear,
        verification_level: Patch::Set(2),
        afk_channel_id: Patch::Clear,
        afk_timeout: Some(300),
        owner_id: Some(USER),
        system_channel_id: Patch::Set(ChannelId::new(20)),
        preferred_locale: Patch::Set("de".into()),
        ..Default::default()
    };
    let patch = json!({
        "name": " Owls ", "description": null, "verification_level": 2, "afk_channel_id": null, "afk_timeout": 300,
        "owner_id": "7", "system_channel_id": "20", "preferred_locale": "de", "icon": null, "features": [],
    });
    vec![
        case!(POST "/guilds", "/guilds", Some(json!({"name": "Birds", "icon": null, "channels": null})) =>
            Call::CreateGuild(new_guild("Birds")) => 201 samples::guild()),
        case!(GET "/guilds/{guild_id}", "/guilds/10?with_counts=true", None =>
            Call::GetGuild { guild_id: GUILD, with_counts: true } => 200 samples::guild()),
        case!(PATCH "/guilds/{guild_id}", "/guilds/10", Some(patch) =>
            Call::ModifyGuild { guild_id: GUILD, changes: Box::new(changes) } => 200 samples::guild()),
        case!(DELETE "/guilds/{guild_id}", "/guilds/10", None =>
            Call::DeleteGuild { guild_id: GUILD } => 204 Reply::NoContent),
        case!(POST "/guilds/{guild_id}/delete", "/guilds/10/delete", None =>
            Call::DeleteGuild { guild_id: GUILD } => 204 Reply::NoContent),
        case!(GET "/guilds/{guild_id}/invites", "/guilds/10/invites", None =>
            Call::ListGuildInvites { guild_id: GUILD } => 200 Reply::Invites(Vec::new())),
        case!(GET "/guilds/{guild_id}/emojis", "/guilds/10/emojis", None =>
            Call::ListGuildEmojis { guild_id: GUILD } => 200 Reply::Emojis(Vec::new())),
    ]
}

fn role_cases() -> Vec<Case> {
    let role = CreateRole {
        name: Some("mods".into()),
        permissions: Some(Permissions::KICK_MEMBERS),
        color: Some(255),
        hoist: true,
        unicode_emoji: Some("🦉".into()),
        ..Default::default()
    };
    let create = json!({"name": "mods", "permissions": "2", "color": 255, "hoist": true, "unicode_emoji": "🦉"});
    let changes = ModifyRole {
        name: Patch::Set("x".into()),
        permissions: Patch::Set(Permissions::empty()),
        colors: Patch::Set(RoleColors { primary_color: 1, secondary_color: Some(2), tertiary_color: None }),
        mentionable: Patch::Clear,
        ..Default::default()
    };
    let patch = json!({
        "name": "x", "permissions": 0, "colors": {"primary_color": 1, "secondary_color": 2}, "mentionable": null,
    });
    let (guild_id, role_id) = (GUILD, ROLE);
    vec![
        case!(GET "/guilds/{guild_id}/roles", "/guilds/10/roles", None =>
            Call::ListRoles { guild_id } => 200 Reply::Roles(Vec::new())),
        case!(POST "/guilds/{guild_id}/roles", "/guilds/10/roles", Some(create) =>
            Call::CreateRole { guild_id, role } => 200 samples::role()),
        case!(PATCH "/guilds/{guild_id}/roles", "/guilds/10/roles", Some(json!([{"id": "30", "position": 2}, {"id": 31}])) =>
            Call::ModifyRolePositions { guild_id, positions: vec![
                RolePosition { id: ROLE, position: Some(2) },
                RolePosition { id: RoleId::new(31), position: None },
            ] } => 200 Reply::Roles(Vec::new())),
        case!(GET "/guilds/{guild_id}/roles/{role_id}", "/guilds/10/roles/30", None =>
            Call::GetRole { guild_id, role_id } => 200 samples::role()),
        case!(PATCH "/guilds/{guild_id}/roles/{role_id}", "/guilds/10/roles/30", Some(patch) =>
            Call::ModifyRole { guild_id, role_id, changes } => 200 samples::role()),
        case!(DELETE "/guilds/{guild_id}/roles/{role_id}", "/guilds/10/roles/30", None =>
            Call::DeleteRole { guild_id, role_id } => 204 Reply::NoContent),
    ]
}

fn member_cases() -> Vec<Case> {
    let (guild_id, user_id, role_id) = (GUILD, USER, ROLE);
    let changes = ModifyMember {
        nick: Patch::Clear,
        roles: Patch::Set(vec![ROLE]),
        communication_disabled_until: Patch::Set(Timestamp::from_unix_ms(1_700_000_100_000)),
        channel_id: Patch::Clear,
        ..Default::default()
    };
    let patch = json!({
        "nick": "", "roles": ["30"], "communication_disabled_until": "2023-11-14T22:15:00+00:00", "channel_id": null,
    });
    vec![
        case!(GET "/guilds/{guild_id}/members", "/guilds/10/members?limit=1000&after=5", None =>
            Call::ListMembers { guild_id, limit: 1000, after: UserId::new(5) } => 200 Reply::Members(Vec::new())),
        case!(GET "/guilds/{guild_id}/members/search", "/guilds/10/members/search?query=an%20n&limit=3", None =>
            Call::SearchMembers { guild_id, query: "an n".into(), limit: 3 } => 200 Reply::Members(Vec::new())),
        case!(PATCH "/guilds/{guild_id}/members/@me", "/guilds/10/members/@me", Some(json!({"nick": "Ann"})) =>
            Call::ModifyCurrentMember { guild_id, nick: Patch::Set("Ann".into()) } => 200 samples::member()),
        case!(GET "/guilds/{guild_id}/members/{user_id}", "/guilds/10/members/7", None =>
            Call::GetMember { guild_id, user_id } => 200 samples::member()),
        case!(PATCH "/guilds/{guild_id}/members/{user_id}", "/guilds/10/members/7", Some(patch) =>
            Call::ModifyMember { guild_id, user_id, changes } => 200 samples::member()),
        case!(DELETE "/guilds/{guild_id}/members/{user_id}", "/guilds/10/members/7", None =>
            Call::KickMember { guild_id, user_id } => 204 Reply::NoContent),
        case!(PUT "/guilds/{guild_id}/members/{user_id}/roles/{role_id}", "/guilds/10/members/7/roles/30", None =>
            Call::AddMemberRole { guild_id, user_id, role_id } => 204 Reply::NoContent),
        case!(DELETE "/guilds/{guild_id}/members/{user_id}/roles/{role_id}", "/guilds/10/members/7/roles/30", None =>
            Call::RemoveMemberRole { guild_id, user_id, role_id } => 204 Reply::NoContent),
    ]
}

#[test]
fn ordinary_use() {
    check(cases());
}

#[test]
fn a_new_guild_with_roles_and_channels() {
    let body = json!({
        "name": "Birds",
        "roles": [{"id": 0, "permissions": "1024"}, {"id": "1", "name": "mods"}],
        "channels": [
            {"id": "5", "name": "Talk", "type": 4},
            {"id": 6, "name": "general", "parent_id": 5, "permission_overwrites": [{"id": 1, "allow": "8"}]},
            {"id": 7, "name": "Voice", "type": 2, "parent_id": "5"},
            {"name": "more"},
        ],
        "system_channel_id": "6", "afk_channel_id": 7, "afk_timeout": 60, "verification_level": 4,
    });
    let parent = |channel| CreateChannel { parent_id: Some(ChannelId::new(5)), ..channel };
    let allow = Permissions::ADMINISTRATOR;
    let overwrite = Overwrite { id: Snowflake(1), kind: OverwriteType::Role, allow, deny: Permissions::empty() };
    let expected = CreateGuild {
        roles: vec![
            (0, CreateRole { permissions: Some(Permissions::VIEW_CHANNEL), ..Default::default() }),
            (1, CreateRole { name: Some("mods".into()), ..Default::default() }),
        ],
        channels: vec![
            (Some(5), channel("Talk", ChannelType::GuildCategory)),
            (
                Some(6),
                CreateChannel {
                    permission_overwrites: vec![overwrite],
                    ..parent(channel("general", ChannelType::GuildText))
                },
            ),
            (Some(7), parent(channel("Voice", ChannelType::GuildVoice))),
            (None, channel("more", ChannelType::GuildText)),
        ],
        system_channel_id: Some(6),
        afk_channel_id: Some(7),
        afk_timeout: Some(60),
        verification_level: Some(4),
        ..new_guild("Birds")
    };
    assert_eq!(call_of("POST", "/guilds", body), Call::CreateGuild(expected));
}

#[test]
fn placeholders_must_fit() {
    let errors = errors_of(
        "POST",
        "/guilds",
        json!({
            "name": "x",
            "channels": [
                {"id": 1, "name": "a", "parent_id": 2},
                {"id": 2, "name": "b", "type": 4},
                {"id": 2, "name": "c", "parent_id": 1},
            ],
            "system_channel_id": 2, "afk_channel_id": 9, "roles": [{"name": "r"}], "icon": "data:image/png;base64,AA",
        }),
    );
    assert_eq!(
        errors,
        json!({
            "name": error("BASE_TYPE_BAD_LENGTH", "Must be between 2 and 100 in length."),
            "channels": {
                "0": {"parent_id": error(
                    "GUILD_CREATE_CHANNEL_CATEGORY_NOT_FIRST",
                    "Channels with a parent_id must appear after their category channel",
                )},
                "2": {
                    "id": error("GUILD_CREATE_CHANNEL_ID_INVALID", "Invalid id (2)"),
                    "parent_id": error("CHANNEL_PARENT_INVALID_TYPE", "Not a category"),
                },
            },
            "roles": {"0": {"id": required()}},
            "system_channel_id": error("GUILD_CREATE_SYSTEM_CHANNEL_NOT_GUILD_TEXT", "System channels must be GuildText"),
            "afk_channel_id": error("GUILD_CREATE_CHANNEL_ID_INVALID", "Invalid afk_channel_id (9)"),
            "icon": not_supported("guild icons"),
        })
    );
    assert_eq!(errors_of("POST", "/guilds", json!({})), json!({"name": required()}));
}

#[test]
fn a_guilds_settings_have_their_choices() {
    assert_eq!(
        errors_of(
            "PATCH",
            "/guilds/10",
            json!({
                "verification_level": 5, "afk_timeout": 61, "preferred_locale": "xx", "banner": "data:",
                "features": ["COMMUNITY"], "default_message_notifications": "1", "description": "x".repeat(301),
            })
        ),
        json!({
            "verification_level": error("BASE_TYPE_CHOICES", "Value must be one of {0, 1, 2, 3, 4}."),
            "afk_timeout": error("BASE_TYPE_CHOICES", "Value must be one of {60, 300, 900, 1800, 3600}."),
            "preferred_locale": error("BASE_TYPE_CHOICES", "Value must be one of {'ar', 'bg', 'cs', 'da', 'de', 'el', 'en-GB', 'en-US', 'es-419', 'es-ES', 'fi', 'fr', 'he', 'hi', 'hr', 'hu', 'id', 'it', 'ja', 'ko', 'lt', 'nl', 'no', 'pl', 'pt-BR', 'ro', 'ru', 'sv-SE', 'th', 'tr', 'uk', 'vi', 'zh-CN', 'zh-TW'}."),
            "banner": not_supported("guild banners"),
            "features": not_supported("changes of guild features"),
            "default_message_notifications": error("BASE_TYPE_CHOICES", "Value must be one of {0, 1}."),
            "description": error("BASE_TYPE_MAX_LENGTH", "Must be 300 or fewer in length."),
        })
    );
}

#[test]
fn wrong_roles() {
    assert_eq!(
        errors_of(
            "POST",
            "/guilds/10/roles",
            json!({"name": "x".repeat(101), "permissions": "all", "color": -1, "hoist": "yes", "unicode_emoji": "owl", "icon": "d"})
        ),
        json!({
            "name": error("BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length."),
            "permissions": error("NUMBER_TYPE_COERCE", "Value \"all\" is not int."),
            "color": error("NUMBER_TYPE_MIN", "int value should be greater than or equal to 0."),
            "hoist": error("BOOLEAN_TYPE_CONVERT", "Must be either true or false."),
            "unicode_emoji": error("BASE_TYPE_INVALID", "Not a valid Unicode emoji."),
            "icon": not_supported("role icons"),
        })
    );
    assert_eq!(
        errors_of("PATCH", "/guilds/10/roles", json!({"id": "1"})),
        error("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
    );
    assert_eq!(
        errors_of("PATCH", "/guilds/10/roles", json!([{"position": 1.5}, 7])),
        json!({
            "0": {"id": required(), "position": error("NUMBER_TYPE_COERCE", "Value \"1.5\" is not int.")},
            "1": error("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType"),
        })
    );
}

#[test]
fn wrong_members() {
    assert_eq!(
        errors_of(
            "PATCH",
            "/guilds/10/members/7",
            json!({
                "nick": "x".repeat(33), "roles": ["30", "30"], "mute": 1, "channel_id": "x",
                "communication_disabled_until": "tomorrow",
            })
        ),
        json!({
            "nick": error("BASE_TYPE_MAX_LENGTH", "Must be 32 or fewer in length."),
            "roles": {"1": error("SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains this value")},
            "mute": error("BOOLEAN_TYPE_CONVERT", "Must be either true or false."),
            "channel_id": error("NUMBER_TYPE_COERCE", "Value \"x\" is not snowflake."),
            "communication_disabled_until": error("DATE_TIME_TYPE_PARSE", "Could not parse tomorrow. Should be ISO8601."),
        })
    );
    assert_eq!(
        errors_of("GET", "/guilds/10/members?limit=1001&after=x", json!({})),
        json!({
            "limit": error("NUMBER_TYPE_MAX", "int value should be less than or equal to 1000."),
            "after": error("NUMBER_TYPE_COERCE", "Value \"x\" is not snowflake."),
        })
    );
    assert_eq!(errors_of("GET", "/guilds/10/members/search", json!({})), json!({"query": required()}));
}

#[test]
fn a_time_out_lasts_28_days_at_most() {
    const DAY_MS: i64 = 24 * 3_600 * 1_000;
    let until = |days: i64| Timestamp::from_unix_ms(NOW_MS as i64 + days * DAY_MS).to_string();
    let body = |days| json!({"communication_disabled_until": until(days)});
    assert_eq!(
        errors_of("PATCH", "/guilds/10/members/7", body(29)),
        json!({"communication_disabled_until": error("DATE_TIME_TYPE_MAX", "Must be at most 28 days from now.")})
    );
    assert!(matches!(call_of("PATCH", "/guilds/10/members/7", body(28)), Call::ModifyMember { .. }));
    assert!(matches!(call_of("PATCH", "/guilds/10/members/7", body(-1)), Call::ModifyMember { .. }));
}

#[test]
fn no_more_than_a_hundred_mistakes_are_told() {
    let wrong: Vec<serde_json::Value> = (0..500).map(|_| json!({"id": "x"})).collect();
    let errors = errors_of("PATCH", "/guilds/10/channels", json!(wrong));
    assert_eq!(errors.as_object().unwrap().len(), 100);
    assert!(errors.get("99").is_some(), "the first ones are told");
}
