//! Bodies of successful answers.

use rookery_model::call::{OperatorReply, Reply};
use serde::Serialize;
use serde_json::json;

/// What a reply becomes.
pub enum Body {
    Json(Vec<u8>),
    /// 204.
    Empty,
    /// A reply that the route's call never has.
    Unexpected,
}

/// A value as JSON.
pub fn json(value: &impl Serialize) -> Body {
    serde_json::to_vec(value).map_or(Body::Unexpected, Body::Json)
}

/// The entity itself.
pub fn plain(reply: Reply) -> Body {
    match reply {
        Reply::NoContent => Body::Empty,
        Reply::Token { token, .. } => json(&json!({ "token": token })),
        Reply::CurrentUser(user) => json(&user),
        Reply::User(user) => json(&user),
        Reply::Users(users) => json(&users),
        Reply::PartialGuilds(guilds) => json(&guilds),
        Reply::Application(application) => json(&application),
        Reply::Applications(applications) => json(&applications),
        Reply::Authorized { location } => json(&json!({ "location": location })),
        Reply::Guild(guild) => json(&guild),
        Reply::Channel(channel) => json(&channel),
        Reply::Channels(channels) => json(&channels),
        Reply::Role(role) => json(&role),
        Reply::Roles(roles) => json(&roles),
        Reply::Member(member) => json(&member),
        Reply::Members(members) => json(&members),
        Reply::Emojis(emojis) => json(&emojis),
        Reply::VoiceRegions(regions) => json(&regions),
        Reply::VoiceState(state) => json(&state),
        Reply::Ringable(ringable) => json(&json!({ "ringable": ringable })),
        Reply::StageInstance(stage) => json(&stage),
        Reply::Invite(invite) => json(&invite),
        Reply::Invites(invites) => json(&invites),
        Reply::Message(message) => json(&message),
        Reply::Messages(messages) => json(&messages),
        Reply::Pins { items, has_more } => json(&json!({ "items": items, "has_more": has_more })),
        Reply::Acked => json(&json!({ "token": null })),
        Reply::GatewayUrl { url, .. } => json(&json!({ "url": url })),
        Reply::GatewayBot(gateway) => json(&gateway),
        Reply::Operator(reply) => operator_body(&reply),
    }
}

/// `POST /auth/login`: the token with what clients read at the start.
pub fn login(reply: Reply) -> Body {
    let Reply::Token { token, user_id } = reply else { return Body::Unexpected };
    json(&json!({
        "user_id": user_id,
        "token": token,
        "user_settings": { "locale": "en-US", "theme": "dark" },
    }))
}

/// `POST /applications/{id}/bot`: the first token, and whose it is.
pub fn bot_created(reply: Reply) -> Body {
    let Reply::Token { token, user_id } = reply else { return Body::Unexpected };
    json(&json!({ "id": user_id, "token": token }))
}

/// `POST /gateway/url`: both transports, the second null where there is none, and which certificates a page is to trust.
pub fn gateway_url(reply: Reply) -> Body {
    let Reply::GatewayUrl { url, webtransport_url, webtransport_cert_sha256 } = reply else { return Body::Unexpected };
    json(&json!({
        "url": url,
        "webtransport_url": webtransport_url,
        "webtransport_cert_sha256": webtransport_cert_sha256,
    }))
}

fn operator_body(reply: &OperatorReply) -> Body {
    match reply {
        OperatorReply::Seed(seed) => json(seed),
        OperatorReply::Status(status) => json(status),
        OperatorReply::User(user) => json(user),
        OperatorReply::Guild { guild, member_count, channel_count, retention_days } => json(&json!({
            "guild": guild, "member_count": member_count, "channel_count": channel_count,
            "retention_days": retention_days,
        })),
        OperatorReply::Draining { sessions } => json(&json!({ "sessions": sessions })),
        OperatorReply::Erasing { user_id, through } => json(&json!({ "user_id": user_id, "through": through })),
        OperatorReply::Retention { guild_id, max_age_days } => {
            json(&json!({ "guild_id": guild_id, "max_age_days": max_age_days }))
        }
        OperatorReply::TakeOver { region, by, is_begun } => {
            json(&json!({ "region": region, "by": by, "taken_over": is_begun }))
        }
    }
}
