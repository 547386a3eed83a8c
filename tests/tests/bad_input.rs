//! Bad input over HTTP: every mistake is answered with the right status, code and path, and limits with what to wait.

use anyhow::{Context as _, ensure};
use reqwest::Method;
use rookery_tests::{Answer, Guild, InUse, PASSWORD, Person, Shared, bot_in, text};
use serde_json::{Value, json};
use std::sync::Arc;

static SERVER: Shared = Shared::new(&["--set", "limits=off"]);

/// An id that nothing has: it was made in 2015.
const NOBODY: &str = "175928847299117063";

struct Setting {
    server: Arc<InUse>,
    owner: Person,
    guild: Guild,
}

impl Setting {
    /// Somebody with a guild of their own.
    async fn prepare(name: &str) -> anyhow::Result<Self> {
        let server = SERVER.get().await?;
        let owner = Person::register(server.api()?, name).await?;
        let guild = Guild::create(&owner, name).await?;
        Ok(Self { server, owner, guild })
    }

    /// Somebody else.
    async fn other(&self, name: &str) -> anyhow::Result<Person> {
        Person::register(self.server.api()?, name).await
    }

    fn messages(&self) -> String {
        format!("/channels/{}/messages", self.guild.channel_id)
    }
}

async fn post(person: &Person, path: &str, body: &Value) -> anyhow::Result<Answer> {
    person.ask(Method::POST, path, Some(body)).await
}

async fn get(person: &Person, path: &str) -> anyhow::Result<Answer> {
    person.ask(Method::GET, path, None).await
}

#[tokio::test]
async fn malformed_json() -> anyhow::Result<()> {
    let setting = Setting::prepare("malformed").await?;
    let deep = [b"{\"content\":".to_vec(), b"[".repeat(500)].concat();
    let bodies: [&[u8]; 6] = [b"{", b"{\"content\": \"x\"", b"hello", b"{\"content\": \"\xff\"}", b"{} {}", &deep];
    for body in bodies {
        let answer = setting.owner.ask_raw(Method::POST, &setting.messages(), body.to_vec()).await?;
        answer.is_error(400, 50109).with_context(|| String::from_utf8_lossy(body).into_owned())?;
    }
    // What is JSON and no object is no form.
    for body in ["[]", "7", "\"content\"", "null"] {
        let answer = setting.owner.ask_raw(Method::POST, &setting.messages(), body.into()).await?;
        answer.is_error(400, 50035).context(body)?;
    }
    Ok(())
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() -> anyhow::Result<()> {
    let setting = Setting::prepare("fields").await?;
    let owner = &setting.owner;
    let field = json!({ "name": "", "value": "v".repeat(1_025) });
    let body = json!({
        "content": "x".repeat(2_001),
        "tts": "perhaps",
        "embeds": [{ "title": "t".repeat(257) }, { "title": "fine", "fields": [{ "name": "n", "value": "v" }, field] }],
        "message_reference": { "message_id": "no id" },
        "allowed_mentions": { "users": [1.5] },
        "nonce": "n".repeat(26),
    });
    post(owner, &setting.messages(), &body).await?.names_fields(&[
        "content",
        "tts",
        "embeds.0.title",
        "embeds.1.fields.1.name",
        "embeds.1.fields.1.value",
        "message_reference.message_id",
        "allowed_mentions.users.0",
        "nonce",
    ])?;
    let eleven: Vec<Value> = (0..11).map(|n| json!({ "title": n.to_string() })).collect();
    post(owner, &setting.messages(), &json!({ "embeds": eleven })).await?.names_fields(&["embeds"])?;
    let (name, topic) = ("", "t".repeat(1_025));
    let body = json!({ "name": name, "type": 99, "topic": topic, "rate_limit_per_user": -1, "parent_id": {} });
    post(owner, &format!("/guilds/{}/channels", setting.guild.id), &body).await?.names_fields(&[
        "name",
        "type",
        "topic",
        "rate_limit_per_user",
        "parent_id",
    ])?;
    let body = json!({ "name": "n".repeat(101), "permissions": "many", "color": 0x100_0000, "hoist": 7 });
    let answer = post(owner, &format!("/guilds/{}/roles", setting.guild.id), &body).await?;
    answer.names_fields(&["name", "permissions", "color", "hoist"])?;
    post(owner, "/guilds", &json!({})).await?.names_fields(&["name"])?;
    post(owner, "/guilds", &json!({ "name": "g" })).await?.names_fields(&["name"])?;
    get(owner, &format!("{}?limit=101", setting.messages())).await?.names_fields(&["limit"])?;
    get(owner, &format!("{}?limit=0&before=x", setting.messages())).await?.names_fields(&["limit", "before"])?;
    get(owner, "/channels/general/messages").await?.names_fields(&["channel_id"])?;
    // Nothing of all this was done.
    let stored = owner.get(&setting.messages()).await?;
    ensure!(stored == json!([]), "{stored}");
    Ok(())
}

#[tokio::test]
async fn limits_hold_exactly() -> anyhow::Result<()> {
    let setting = Setting::prepare("exactly").await?;
    let owner = &setting.owner;
    // Characters count, not bytes.
    let longest = "ä".repeat(2_000);
    let said = post(owner, &setting.messages(), &json!({ "content": longest })).await?.success()?;
    ensure!(said["content"] == longest);
    let answer = post(owner, &setting.messages(), &json!({ "content": format!("{longest}ä") })).await?;
    answer.names_fields(&["content"])?;
    for body in [json!({}), json!({ "content": "" }), json!({ "content": "  \n " }), json!({ "embeds": [] })] {
        post(owner, &setting.messages(), &body).await?.is_error(400, 50006).with_context(|| body.to_string())?;
    }
    let message = format!("{}/{}", setting.messages(), text(&said, "id")?);
    let answer = owner.ask(Method::PATCH, &message, Some(&json!({ "content": "x".repeat(2_001) }))).await?;
    answer.names_fields(&["content"])?;
    Ok(())
}

#[tokio::test]
async fn unknown_ids() -> anyhow::Result<()> {
    let setting = Setting::prepare("unknown").await?;
    let owner = &setting.owner;
    let (guild, channel) = (&setting.guild.id, &setting.guild.channel_id);
    let said = owner.say(channel, "here").await?;
    let wanted = [
        (Method::GET, format!("/channels/{NOBODY}"), 10003),
        (Method::GET, format!("/channels/{NOBODY}/messages"), 10003),
        (Method::POST, format!("/channels/{NOBODY}/messages"), 10003),
        (Method::DELETE, format!("/channels/{NOBODY}"), 10003),
        (Method::POST, format!("/channels/{NOBODY}/typing"), 10003),
        (Method::GET, format!("/guilds/{NOBODY}"), 10004),
        (Method::PATCH, format!("/guilds/{NOBODY}"), 10004),
        (Method::GET, format!("/guilds/{NOBODY}/channels"), 10004),
        (Method::POST, format!("/guilds/{NOBODY}/roles"), 10004),
        (Method::DELETE, format!("/guilds/{NOBODY}"), 10004),
        (Method::GET, format!("/channels/{channel}/messages/{NOBODY}"), 10008),
        (Method::PATCH, format!("/channels/{channel}/messages/{NOBODY}"), 10008),
        (Method::DELETE, format!("/channels/{channel}/messages/{NOBODY}"), 10008),
        (Method::PUT, format!("/channels/{channel}/messages/{NOBODY}/reactions/%F0%9F%91%8D/@me"), 10008),
        (Method::PUT, format!("/channels/{channel}/pins/{NOBODY}"), 10008),
        (Method::GET, format!("/users/{NOBODY}"), 10013),
        (Method::PATCH, format!("/guilds/{guild}/roles/{NOBODY}"), 10011),
        (Method::DELETE, format!("/guilds/{guild}/roles/{NOBODY}"), 10011),
        (Method::GET, format!("/guilds/{guild}/members/{NOBODY}"), 10007),
        (Method::DELETE, format!("/guilds/{guild}/members/{NOBODY}"), 10007),
        (Method::PATCH, format!("/guilds/{guild}/members/{NOBODY}"), 10007),
        (Method::PUT, format!("/guilds/{guild}/members/{}/roles/{NOBODY}", owner.id), 10011),
        (Method::GET, "/invites/nobodyhasthis".into(), 10006),
        (Method::POST, "/invites/nobodyhasthis".into(), 10006),
        (Method::DELETE, "/invites/nobodyhasthis".into(), 10006),
        (Method::GET, format!("/applications/{NOBODY}"), 10002),
    ];
    for (method, path, code) in wanted {
        let body = (method != Method::GET).then(|| json!({ "content": "x", "name": "xy", "nick": "n" }));
        let answer = owner.ask(method.clone(), &path, body.as_ref()).await?;
        answer.is_error(404, code).with_context(|| format!("{method} {path}"))?;
    }
    // An emoji that is none has a code of its own, and is no 404.
    let reaction = format!("/channels/{channel}/messages/{said}/reactions/nonsense/@me");
    owner.ask(Method::PUT, &reaction, None).await?.is_error(400, 10014)?;
    // A message of one channel is unknown in another.
    let elsewhere = setting.guild.channel(owner, "elsewhere").await?;
    get(owner, &format!("/channels/{elsewhere}/messages/{said}")).await?.is_error(404, 10008)?;
    Ok(())
}

#[tokio::test]
async fn no_token_and_wrong_tokens() -> anyhow::Result<()> {
    let setting = Setting::prepare("tokens").await?;
    let (owner, api) = (&setting.owner, setting.server.api()?);
    get(&Person::stranger(api), "/users/@me").await?.is_error(401, 0)?;
    post(&Person::stranger(api), &setting.messages(), &json!({ "content": "x" })).await?.is_error(401, 0)?;

    let parts: Vec<&str> = owner.token.split('.').collect();
    let [user, claims, signature] = parts[..] else { anyhow::bail!("a token has three parts: {parts:?}") };
    let other = setting.other("tokens2").await?;
    let other_user = other.token.split('.').next().context("a part")?;
    let changed = |part: &str| {
        let mut bytes = part.as_bytes().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes)
    };
    let wrong = [
        String::new(),
        "nonsense".into(),
        "a.b.c".into(),
        format!("{user}.{claims}"),
        format!("{user}.{claims}."),
        format!("{other_user}.{claims}.{signature}"),
        format!("{user}.{}.{signature}", changed(claims)?),
        format!("{user}.{claims}.{}", changed(signature)?),
        format!("{}x", owner.token),
        // A person's token does not make a bot.
        format!("Bot {}", owner.token),
        format!("Operator {}", owner.token),
        "x".repeat(8_000),
    ];
    for authorization in wrong {
        let answer = get(&owner.with_authorization(&authorization), "/users/@me").await?;
        answer.is_error(401, 0).with_context(|| authorization.clone())?;
    }
    // The same token in its accepted form is fine.
    get(&owner.with_authorization(&format!("Bearer {}", owner.token)), "/users/@me").await?.success()?;
    // Nobody but the operator is the operator.
    for person in [owner.clone(), Person::stranger(api), owner.with_authorization("Operator wrong")] {
        get(&person, "/operator/status").await?.is_error(401, 0)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_permitted() -> anyhow::Result<()> {
    let setting = Setting::prepare("permitted").await?;
    let (owner, guild) = (&setting.owner, &setting.guild);
    let member = setting.other("permitted2").await?;
    guild.welcome(owner, &member).await?;
    let said = owner.say(&guild.channel_id, "the owner's").await?;
    let role = owner.post(&format!("/guilds/{}/roles", guild.id), &json!({ "name": "r" })).await?;
    let role = text(&role, "id")?;
    let (channel, id, me) = (&guild.channel_id, &guild.id, &member.id);
    let refused = [
        (Method::PATCH, format!("/guilds/{id}")),
        (Method::POST, format!("/guilds/{id}/channels")),
        (Method::PATCH, format!("/channels/{channel}")),
        (Method::DELETE, format!("/channels/{channel}")),
        (Method::POST, format!("/guilds/{id}/roles")),
        (Method::PATCH, format!("/guilds/{id}/roles/{role}")),
        (Method::DELETE, format!("/guilds/{id}/roles/{role}")),
        (Method::PUT, format!("/guilds/{id}/members/{me}/roles/{role}")),
        (Method::DELETE, format!("/guilds/{id}/members/{}", owner.id)),
        (Method::DELETE, format!("/channels/{channel}/messages/{said}")),
        (Method::PUT, format!("/channels/{channel}/pins/{said}")),
        (Method::GET, format!("/guilds/{id}/invites")),
    ];
    for (method, path) in refused {
        let body = (method != Method::GET).then(|| json!({ "name": "new-name" }));
        let answer = member.ask(method.clone(), &path, body.as_ref()).await?;
        answer.is_error(403, 50013).with_context(|| format!("{method} {path}"))?;
    }
    let body = json!({ "content": "mine now" });
    let answer = member.ask(Method::PATCH, &format!("/channels/{channel}/messages/{said}"), Some(&body)).await?;
    answer.is_error(403, 50005)?;
    // Without the right to speak.
    let deny = json!({ "type": 0, "allow": "0", "deny": "2048" });
    owner.put_with(&format!("/channels/{channel}/permissions/{id}"), &deny).await?;
    post(&member, &format!("/channels/{channel}/messages"), &body).await?.is_error(403, 50013)?;
    // The owner may do what nobody else may.
    owner.say(channel, "still here").await?;
    Ok(())
}

#[tokio::test]
async fn hidden_channels_and_strange_guilds() -> anyhow::Result<()> {
    let setting = Setting::prepare("hidden").await?;
    let (owner, guild) = (&setting.owner, &setting.guild);
    let member = setting.other("hidden2").await?;
    guild.welcome(owner, &member).await?;
    let hidden = guild.hidden_channel(owner, "secret").await?;
    let said = owner.say(&hidden, "nobody else reads this").await?;
    let stranger = setting.other("hidden3").await?;
    let paths = [
        (Method::GET, format!("/channels/{hidden}")),
        (Method::GET, format!("/channels/{hidden}/messages")),
        (Method::GET, format!("/channels/{hidden}/messages/{said}")),
        (Method::GET, format!("/channels/{hidden}/pins")),
        (Method::POST, format!("/channels/{hidden}/messages")),
        (Method::POST, format!("/channels/{hidden}/typing")),
        (Method::POST, format!("/channels/{hidden}/invites")),
        (Method::POST, format!("/channels/{hidden}/messages/{said}/ack")),
        (Method::PUT, format!("/channels/{hidden}/messages/{said}/reactions/%F0%9F%91%8D/@me")),
        (Method::PATCH, format!("/channels/{hidden}")),
        (Method::DELETE, format!("/channels/{hidden}")),
    ];
    for (method, path) in &paths {
        for person in [&member, &stranger] {
            let body = (*method != Method::GET).then(|| json!({ "content": "x" }));
            let answer = person.ask(method.clone(), path, body.as_ref()).await?;
            answer.is_error(403, 50001).with_context(|| format!("{method} {path}"))?;
        }
    }
    let strange = [
        format!("/guilds/{}", guild.id),
        format!("/guilds/{}/channels", guild.id),
        format!("/guilds/{}/members/{}", guild.id, owner.id),
    ];
    for path in &strange {
        get(&stranger, path).await?.is_error(403, 50001).with_context(|| path.clone())?;
    }
    // The messages did not arrive by any way.
    let messages = owner.get(&format!("/channels/{hidden}/messages")).await?;
    ensure!(messages.as_array().map(Vec::len) == Some(1), "{messages}");
    Ok(())
}

#[tokio::test]
async fn bodies_over_the_limit_and_unknown_routes() -> anyhow::Result<()> {
    let setting = Setting::prepare("toolarge").await?;
    let owner = &setting.owner;
    let large = format!("{{\"content\":\"{}\"}}", "x".repeat(2 << 20)).into_bytes();
    owner.ask_raw(Method::POST, &setting.messages(), large).await?.is_error(413, 40005)?;
    for path in ["/nothing", "/channels", "/users/@me/nothing", "/guilds/1/2/3/4/5"] {
        get(owner, path).await?.is_error(404, 0).context(path)?;
    }
    owner.ask(Method::PUT, "/users/@me", Some(&json!({}))).await?.is_error(405, 0)?;
    // The same person is still served.
    get(owner, "/users/@me").await?.success()?;
    Ok(())
}

#[tokio::test]
async fn signing_up_twice() -> anyhow::Result<()> {
    let server = SERVER.get().await?;
    let stranger = Person::stranger(server.api()?);
    let account = |email: &str, name: &str| json!({ "email": email, "username": name, "password": PASSWORD });
    stranger.post("/auth/register", &account("twice@example.org", "twice")).await?;
    let taken = [
        (account("twice@example.org", "another"), vec!["email"]),
        (account("Twice@Example.ORG", "another"), vec!["email"]),
        (account("other@example.org", "twice"), vec!["username"]),
        (account("twice@example.org", "twice"), vec!["email", "username"]),
    ];
    for (body, fields) in taken {
        let answer = post(&stranger, "/auth/register", &body).await?;
        answer.names_fields(&fields).with_context(|| body.to_string())?;
    }
    // What was refused took no name.
    stranger.post("/auth/register", &account("other@example.org", "another")).await?;
    let bad = json!({ "email": "no address", "username": "not a name!", "password": "short" });
    post(&stranger, "/auth/register", &bad).await?.names_fields(&["email", "username", "password"])?;
    let login = json!({ "login": "twice@example.org", "password": "wrong horse battery" });
    post(&stranger, "/auth/login", &login).await?.names_fields(&["login", "password"])?;
    let nobody = json!({ "login": "nobody@example.org", "password": "wrong horse battery" });
    post(&stranger, "/auth/login", &nobody).await?.names_fields(&["login", "password"])?;
    Ok(())
}

#[tokio::test]
async fn two_who_want_one_name_at_the_same_moment() -> anyhow::Result<()> {
    let server = SERVER.get().await?;
    let people: Vec<Person> = (0..6).map(|_| Person::stranger(server.api().unwrap_or_default())).collect();
    let attempts = people.iter().enumerate().map(|(n, person)| async move {
        let email = format!("race{n}@example.org");
        let body = json!({ "email": email, "username": "racer", "password": PASSWORD });
        post(person, "/auth/register", &body).await
    });
    let answers = futures_util::future::try_join_all(attempts).await?;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    ensure!(won.len() == 1, "{} accounts have one name", won.len());
    lost.iter().try_for_each(|answer| answer.names_fields(&["username"]))
}

#[tokio::test]
async fn what_bots_and_people_may_not_do() -> anyhow::Result<()> {
    let setting = Setting::prepare("bots").await?;
    let (owner, guild) = (&setting.owner, &setting.guild);
    let bot = bot_in(guild, owner, "Rook", 8).await?;
    let invite = owner.post(&format!("/channels/{}/invites", guild.channel_id), &json!({})).await?;
    post(&bot, &format!("/invites/{}", text(&invite, "code")?), &json!({})).await?.is_error(403, 20001)?;
    post(&bot, "/applications", &json!({ "name": "x" })).await?.is_error(403, 20001)?;
    // A bot's token without its prefix is a person's, and there is no such person.
    get(&bot.with_authorization(&bot.token), "/users/@me").await?.is_error(401, 0)?;
    // Somebody else's application is not mine to change.
    let other = setting.other("bots2").await?;
    let answer = post(&other, &format!("/applications/{}/bot/reset", bot.id), &json!({})).await?;
    ensure!(answer.status == 403 || answer.status == 404, "{} {}", answer.status, answer.body);
    get(&bot, "/users/@me").await?.success()?;
    // Nor is a guild in which I manage nothing a place for it.
    let authorize = format!("/oauth2/authorize?client_id={}&scope=bot&permissions=0", bot.id);
    let body = json!({ "guild_id": guild.id, "authorize": true });
    let answer = post(&other, &authorize, &body).await?;
    ensure!(answer.status == 403, "{} {}", answer.status, answer.body);
    Ok(())
}
