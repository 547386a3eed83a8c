//! Real answers against the reference description of the API, for every route of it that Rookery has.

use std::collections::BTreeSet;

use anyhow::Context as _;
use rookery_test_schema::{Deviation, Reference};
use rookery_tests::{Gateway, Guild, Person, Shared, bot_in, text};
use serde_json::{Value, json};

static SERVER: Shared = Shared::new(&["--set", "limits=off"]);

/// ADMINISTRATOR.
const EVERYTHING: u64 = 8;
const THUMBS_UP: &str = "%F0%9F%91%8D";

const DEVIATIONS: &[Deviation] = &[(
    "/properties/errors/$ref/oneOf",
    "a field's errors have words as codes, BASE_TYPE_REQUIRED, as the API's pages and libraries have it; the description \
     says integers",
)];

/// Who and what there is.
struct Scene {
    reference: Reference,
    owner: Person,
    guest: Person,
    bot: Person,
    guild: Guild,
}

impl Scene {
    async fn set() -> anyhow::Result<Self> {
        let server = SERVER.get().await?;
        let owner = Person::register(server.api()?, "schemaowner").await?;
        let guest = Person::register(server.api()?, "schemaguest").await?;
        let guild = Guild::announcing(&owner, "Schemas").await?;
        guild.welcome(&owner, &guest).await?;
        let bot = bot_in(&guild, &owner, "Schema bot", EVERYTHING).await?;
        Ok(Self { reference: Reference::load(DEVIATIONS)?, owner, guest, bot, guild })
    }

    /// The owner asks.
    async fn ask(&self, route: &str, ids: &[&str], body: Option<Value>) -> anyhow::Result<Value> {
        self.reference.ask(&self.owner, route, ids, body.as_ref()).await
    }
}

/// Routes that the document says the description has.
fn listed() -> BTreeSet<String> {
    include_str!("../../../docs/api-coverage.md")
        .lines()
        .filter_map(|line| {
            let (route, rest) = line.strip_prefix("| `")?.split_once('`')?;
            rest.starts_with(" | yes |").then(|| route.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn answers_fit_the_reference() -> anyhow::Result<()> {
    let server = SERVER.get().await?;
    let scene = Scene::set().await?;
    let result = async {
        users(&scene).await?;
        applications(&scene).await?;
        guild(&scene).await?;
        roles_and_members(&scene).await?;
        channels(&scene).await?;
        messages(&scene).await?;
        reactions_and_pins(&scene).await?;
        direct_messages(&scene).await?;
        stages(&scene).await?;
        errors(&scene).await?;
        leaving(&scene).await
    };
    result.await.with_context(|| format!("the server's log:\n{}", server.log()))?;
    scene.reference.verdict(&listed())
}

async fn users(scene: &Scene) -> anyhow::Result<()> {
    scene.ask("GET /users/@me", &[], None).await?;
    scene.reference.ask(&scene.bot, "GET /users/@me", &[], None).await?;
    scene.ask("PATCH /users/@me", &[], Some(json!({ "global_name": "Ö", "accent_color": 255, "bio": "b" }))).await?;
    scene.ask("GET /users/{user_id}", &[&scene.bot.id], None).await?;
    scene.ask("GET /users/{user_id}", &[&scene.owner.id], None).await?;
    scene.ask("GET /users/@me/guilds?with_counts=true", &[], None).await?;
    scene.ask("GET /users/@me/guilds", &[], None).await?;
    scene.ask("GET /users/@me/guilds/{guild_id}/member", &[&scene.guild.id], None).await?;
    scene.ask("GET /gateway", &[], None).await?;
    scene.reference.ask(&scene.bot, "GET /gateway/bot", &[], None).await?;
    scene.ask("GET /voice/regions", &[], None).await?;
    Ok(())
}

async fn applications(scene: &Scene) -> anyhow::Result<()> {
    let (reference, bot) = (&scene.reference, &scene.bot);
    for route in ["GET /applications/@me", "GET /oauth2/applications/@me"] {
        reference.ask(bot, route, &[], None).await?;
    }
    let described = json!({ "description": "Checks schemas" });
    reference.ask(bot, "PATCH /applications/@me", &[], Some(&described)).await?;
    scene.ask("GET /applications/{application_id}", &[&bot.id], None).await?;
    scene.ask("PATCH /applications/{application_id}", &[&bot.id], Some(described)).await?;
    Ok(())
}

async fn guild(scene: &Scene) -> anyhow::Result<()> {
    let id = scene.guild.id.as_str();
    scene.ask("GET /guilds/{guild_id}", &[id], None).await?;
    scene.ask("GET /guilds/{guild_id}?with_counts=true", &[id], None).await?;
    let changes = json!({ "name": "Schemata", "description": "d", "verification_level": 1, "preferred_locale": "de" });
    scene.ask("PATCH /guilds/{guild_id}", &[id], Some(changes)).await?;
    scene.ask("GET /guilds/{guild_id}/channels", &[id], None).await?;
    scene.ask("GET /guilds/{guild_id}/emojis", &[id], None).await?;
    Ok(())
}

async fn roles_and_members(scene: &Scene) -> anyhow::Result<()> {
    let (guild, guest) = (scene.guild.id.as_str(), scene.guest.id.as_str());
    let wanted = json!({ "name": "Keepers", "permissions": "1024", "color": 255, "hoist": true, "mentionable": true });
    let role = scene.ask("POST /guilds/{guild_id}/roles", &[guild], Some(wanted)).await?;
    let role = text(&role, "id")?;
    scene.ask("GET /guilds/{guild_id}/roles", &[guild], None).await?;
    scene.ask("GET /guilds/{guild_id}/roles/{role_id}", &[guild, role], None).await?;
    let renamed = Some(json!({ "name": "Finders" }));
    scene.ask("PATCH /guilds/{guild_id}/roles/{role_id}", &[guild, role], renamed).await?;
    scene.ask("PATCH /guilds/{guild_id}/roles", &[guild], Some(json!([{ "id": role, "position": 1 }]))).await?;

    let ids = [guild, guest, role];
    scene.ask("PUT /guilds/{guild_id}/members/{user_id}/roles/{role_id}", &ids, None).await?;
    let muted = json!({ "nick": "Guest", "communication_disabled_until": null });
    scene.ask("PATCH /guilds/{guild_id}/members/{user_id}", &[guild, guest], Some(muted)).await?;
    let nick = json!({ "nick": "Me" });
    scene.reference.ask(&scene.guest, "PATCH /guilds/{guild_id}/members/@me", &[guild], Some(&nick)).await?;
    scene.ask("GET /guilds/{guild_id}/members/{user_id}", &[guild, guest], None).await?;
    scene.ask("GET /guilds/{guild_id}/members?limit=10", &[guild], None).await?;
    scene.ask("GET /guilds/{guild_id}/members/search?query=schema", &[guild], None).await?;
    scene.ask("DELETE /guilds/{guild_id}/members/{user_id}/roles/{role_id}", &ids, None).await?;
    scene.ask("DELETE /guilds/{guild_id}/roles/{role_id}", &[guild, role], None).await?;
    Ok(())
}

async fn channels(scene: &Scene) -> anyhow::Result<()> {
    let (guild, guest) = (scene.guild.id.as_str(), scene.guest.id.as_str());
    let create = "POST /guilds/{guild_id}/channels";
    let mut ids = Vec::new();
    for (kind, more) in [(4, json!({})), (0, json!({ "topic": "t", "nsfw": true })), (2, json!({})), (5, json!({}))] {
        let mut wanted = json!({ "name": format!("kind-{kind}"), "type": kind });
        wanted.as_object_mut().context("an object")?.extend(more.as_object().cloned().unwrap_or_default());
        let channel = scene.ask(create, &[guild], Some(wanted)).await?;
        ids.push(text(&channel, "id")?.to_owned());
        scene.ask("GET /channels/{channel_id}", &[&ids[ids.len() - 1]], None).await?;
    }
    let made = ids[1].as_str();
    let changes = Some(json!({ "name": "renamed", "parent_id": ids[0], "rate_limit_per_user": 5 }));
    scene.ask("PATCH /channels/{channel_id}", &[made], changes).await?;
    scene.ask("PATCH /guilds/{guild_id}/channels", &[guild], Some(json!([{ "id": made, "position": 3 }]))).await?;
    let overwrite = Some(json!({ "type": 1, "allow": "1024", "deny": "0" }));
    scene.ask("PUT /channels/{channel_id}/permissions/{overwrite_id}", &[made, guest], overwrite).await?;
    scene.ask("GET /channels/{channel_id}", &[made], None).await?;
    scene.ask("DELETE /channels/{channel_id}/permissions/{overwrite_id}", &[made, guest], None).await?;

    let invite = scene.ask("POST /channels/{channel_id}/invites", &[made], Some(json!({ "max_uses": 3 }))).await?;
    let code = text(&invite, "code")?;
    scene.ask("GET /channels/{channel_id}/invites", &[made], None).await?;
    scene.ask("GET /guilds/{guild_id}/invites", &[guild], None).await?;
    scene.ask("GET /invites/{code}", &[code], None).await?;
    scene.ask("GET /invites/{code}?with_counts=true", &[code], None).await?;
    scene.ask("DELETE /invites/{code}", &[code], None).await?;
    scene.ask("DELETE /channels/{channel_id}", &[made], None).await?;
    Ok(())
}

async fn messages(scene: &Scene) -> anyhow::Result<()> {
    let channel = scene.guild.channel_id.as_str();
    let create = "POST /channels/{channel_id}/messages";
    let embed = json!({
        "title": "t", "description": "d", "url": "https://example.com", "timestamp": "2026-01-02T03:04:05Z", "color": 1,
        "footer": { "text": "f", "icon_url": "https://example.com/f.png" }, "image": { "url": "https://example.com/i" },
        "author": { "name": "a" }, "fields": [{ "name": "n", "value": "v", "inline": true }],
    });
    let body = json!({ "content": format!("<@{}>", scene.guest.id), "embeds": [embed], "nonce": "n" });
    let message = scene.ask(create, &[channel], Some(body)).await?;
    let id = text(&message, "id")?;
    let reply = json!({ "content": "re", "message_reference": { "message_id": id } });
    let reply = scene.reference.ask(&scene.bot, create, &[channel], Some(&reply)).await?;
    scene.ask("GET /channels/{channel_id}/messages?limit=100", &[channel], None).await?;
    scene.ask("GET /channels/{channel_id}/messages/{message_id}", &[channel, id], None).await?;
    let edited = Some(json!({ "content": "edited" }));
    scene.ask("PATCH /channels/{channel_id}/messages/{message_id}", &[channel, id], edited).await?;
    scene.ask("POST /channels/{channel_id}/typing", &[channel], None).await?;
    scene.ask("DELETE /channels/{channel_id}/messages/{message_id}", &[channel, id], None).await?;
    // The reply whose message is gone.
    scene.ask("GET /channels/{channel_id}/messages/{message_id}", &[channel, text(&reply, "id")?], None).await?;
    let mut several = Vec::new();
    for n in 0..2 {
        several.push(scene.owner.say(channel, &format!("bulk {n}")).await?);
    }
    let bulk = Some(json!({ "messages": several }));
    scene.ask("POST /channels/{channel_id}/messages/bulk-delete", &[channel], bulk).await?;
    Ok(())
}

async fn reactions_and_pins(scene: &Scene) -> anyhow::Result<()> {
    let channel = scene.guild.channel_id.as_str();
    let id = scene.owner.say(channel, "to be pinned").await?;
    let path = "/channels/{channel_id}/messages/{message_id}/reactions";
    let one = [channel, &*id, THUMBS_UP];
    let add = format!("PUT {path}/{{emoji_name}}/@me");
    scene.ask(&add, &one, None).await?;
    scene.reference.ask(&scene.guest, &add, &one, None).await?;
    scene.ask(&format!("GET {path}/{{emoji_name}}"), &one, None).await?;
    scene.ask("GET /channels/{channel_id}/messages/{message_id}", &[channel, &id], None).await?;
    let of_guest = [channel, &*id, THUMBS_UP, &scene.guest.id];
    scene.ask(&format!("DELETE {path}/{{emoji_name}}/{{user_id}}"), &of_guest, None).await?;
    scene.ask(&format!("DELETE {path}/{{emoji_name}}/@me"), &one, None).await?;
    scene.ask(&format!("DELETE {path}/{{emoji_name}}"), &one, None).await?;
    scene.ask(&format!("DELETE {path}"), &[channel, &id], None).await?;

    for (pins, pin) in [
        ("/channels/{channel_id}/pins", "/channels/{channel_id}/pins/{message_id}"),
        ("/channels/{channel_id}/messages/pins", "/channels/{channel_id}/messages/pins/{message_id}"),
    ] {
        scene.ask(&format!("PUT {pin}"), &[channel, &id], None).await?;
        scene.ask(&format!("GET {pins}"), &[channel], None).await?;
        scene.ask(&format!("DELETE {pin}"), &[channel, &id], None).await?;
    }
    // With the notes that pinning and joining left.
    scene.ask("GET /channels/{channel_id}/messages", &[channel], None).await?;
    Ok(())
}

async fn direct_messages(scene: &Scene) -> anyhow::Result<()> {
    let open = "POST /users/@me/channels";
    let dm = scene.ask(open, &[], Some(json!({ "recipient_id": scene.guest.id }))).await?;
    let dm = text(&dm, "id")?;
    let hello = Some(json!({ "content": "hello" }));
    scene.ask("POST /channels/{channel_id}/messages", &[dm], hello).await?;
    scene.ask("GET /channels/{channel_id}", &[dm], None).await?;
    scene.ask("GET /channels/{channel_id}/messages", &[dm], None).await?;
    scene.ask("DELETE /channels/{channel_id}", &[dm], None).await?;
    let friend = Person::register(SERVER.get().await?.api()?, "schemafriend").await?;
    let several = json!({ "recipients": [scene.guest.id, friend.id], "name": "Three" });
    let group = scene.ask(open, &[], Some(several)).await?;
    let group = text(&group, "id")?;
    scene.ask("GET /channels/{channel_id}", &[group], None).await?;
    scene.ask("PATCH /channels/{channel_id}", &[group], Some(json!({ "name": "Two" }))).await?;
    scene.ask("GET /channels/{channel_id}/messages", &[group], None).await?;
    Ok(())
}

/// With the owner on the stage.
async fn stages(scene: &Scene) -> anyhow::Result<()> {
    let guild = scene.guild.id.as_str();
    let wanted = json!({ "name": "Stage", "type": 13, "user_limit": 1_000 });
    let stage = scene.ask("POST /guilds/{guild_id}/channels", &[guild], Some(wanted)).await?;
    let stage = text(&stage, "id")?;
    let live = json!({ "channel_id": stage, "topic": "Owls", "send_start_notification": true });
    scene.ask("POST /stage-instances", &[], Some(live)).await?;
    scene.ask("GET /stage-instances/{channel_id}", &[stage], None).await?;
    scene.ask("PATCH /stage-instances/{channel_id}", &[stage], Some(json!({ "topic": "Rooks" }))).await?;

    scene.ask("GET /guilds/{guild_id}/regions", &[guild], None).await?;
    let mut gateway = Gateway::start(SERVER.get().await?.gateway()?, &scene.owner.token, None).await?;
    let join = json!({ "guild_id": guild, "channel_id": stage, "self_mute": false, "self_deaf": false });
    gateway.send(&json!({ "op": 4, "d": join })).await?;
    gateway.event("VOICE_STATE_UPDATE").await?;
    let (own, others) = ("/guilds/{guild_id}/voice-states/@me", "/guilds/{guild_id}/voice-states/{user_id}");
    scene.ask(&format!("GET {own}"), &[guild], None).await?;
    scene.ask(&format!("PATCH {own}"), &[guild], Some(json!({ "channel_id": stage, "suppress": false }))).await?;
    let back = json!({ "channel_id": stage, "suppress": true });
    scene.ask(&format!("PATCH {others}"), &[guild, &scene.owner.id], Some(back)).await?;
    scene.ask(&format!("GET {others}"), &[guild, &scene.owner.id], None).await?;

    let lounge =
        scene.ask("POST /guilds/{guild_id}/channels", &[guild], Some(json!({ "name": "Lounge", "type": 2 }))).await?;
    let set = "PUT /channels/{channel_id}/voice-status";
    scene.ask(set, &[text(&lounge, "id")?], Some(json!({ "status": "Owls" }))).await?;
    scene.ask(set, &[text(&lounge, "id")?], Some(json!({ "status": null }))).await?;

    scene.ask("DELETE /stage-instances/{channel_id}", &[stage], None).await?;
    // With what was said of it.
    scene.ask("GET /channels/{channel_id}/messages", &[stage], None).await?;
    Ok(())
}

/// Refusals have a shape too.
async fn errors(scene: &Scene) -> anyhow::Result<()> {
    let reference = &scene.reference;
    let nobody = Person::stranger(SERVER.get().await?.api()?);
    let wrong = json!({ "content": "x".repeat(2_001), "embeds": [{}] });
    let create = "POST /channels/{channel_id}/messages";
    reference.try_ask(&scene.owner, create, &[&scene.guild.channel_id], Some(&wrong)).await?.is_error(400, 50035)?;
    reference.try_ask(&scene.owner, "GET /channels/{channel_id}", &["5"], None).await?.is_error(404, 10003)?;
    reference.try_ask(&nobody, "GET /users/@me", &[], None).await?.is_error(401, 0)?;
    let rename = json!({ "name": "Mine" });
    let refused =
        reference.try_ask(&scene.guest, "PATCH /guilds/{guild_id}", &[&scene.guild.id], Some(&rename)).await?;
    refused.is_error(403, 50013)
}

async fn leaving(scene: &Scene) -> anyhow::Result<()> {
    let guild = scene.guild.id.as_str();
    scene.reference.ask(&scene.guest, "DELETE /users/@me/guilds/{guild_id}", &[guild], None).await?;
    scene.ask("DELETE /guilds/{guild_id}/members/{user_id}", &[guild, &scene.bot.id], None).await?;
    Ok(())
}
