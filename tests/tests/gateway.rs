//! The gateway as a client sees it that does everything wrong, and one that does not read.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rookery_tests::{Arrival, Gateway, Guild, InUse, PASSWORD, Person, Shared, bot_in, intents, text};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

static SERVER: Shared = Shared::new(&["--set", "limits=off"]);
/// With the limits of the API, and impatient with clients that fall silent.
static STRICT: Shared = Shared::new(&[
    "--set",
    "gateway.session.heartbeat_interval_ms=1000",
    "--set",
    "gateway.session.heartbeat_timeout_ms=1500",
]);

struct Setting {
    server: Arc<InUse>,
    url: String,
    owner: Person,
    guild: Guild,
}

impl Setting {
    async fn prepare(name: &str) -> anyhow::Result<Self> {
        Self::on(&SERVER, name).await
    }

    async fn on(shared: &Shared, name: &str) -> anyhow::Result<Self> {
        let server = shared.get().await?;
        let owner = Person::register(server.api()?, name).await?;
        let guild = Guild::create(&owner, name).await?;
        let url = server.gateway()?.to_owned();
        Ok(Self { server, url, owner, guild })
    }

    async fn member(&self, name: &str) -> anyhow::Result<Person> {
        let member = Person::register(self.server.api()?, name).await?;
        self.guild.welcome(&self.owner, &member).await?;
        Ok(member)
    }
}

/// Opens a connection, sends this, and tells how it was closed.
async fn code_after(url: &str, message: Message) -> anyhow::Result<Option<u16>> {
    let mut gateway = Gateway::open(url).await?;
    gateway.send_raw(message).await?;
    gateway.closed().await
}

fn identify(token: &str, name: &str, value: Value) -> Message {
    let mut payload = json!({ "op": 2, "d": { "token": token, "properties": {}, "intents": 513 } });
    payload["d"][name] = value;
    Message::text(payload.to_string())
}

#[tokio::test]
async fn garbage_and_unknown_opcodes() -> anyhow::Result<()> {
    let server = SERVER.get().await?;
    let url = server.gateway()?;
    for garbage in ["", "hello", "{", "[]", "{}", "{\"op\":\"two\"}", "{\"op\":1,\"d\":\"x\"}", "{\"op\":2,\"d\":[]}"] {
        ensure!(code_after(url, Message::text(garbage)).await? == Some(4002), "{garbage:?}");
    }
    ensure!(code_after(url, Message::binary(vec![0xff; 100])).await? == Some(4002));
    let long = json!({ "op": 1, "d": null, "padding": "x".repeat(4_096) });
    ensure!(code_after(url, Message::text(long.to_string())).await? == Some(4002), "4,096 bytes are the limit");
    for op in [5, 15, 99, -1, 0, 10, 11, 7] {
        let payload = json!({ "op": op, "d": {} });
        ensure!(code_after(url, Message::text(payload.to_string())).await? == Some(4001), "opcode {op}");
    }
    // Others are not disturbed by all this.
    Gateway::open(url).await?;
    Ok(())
}

#[tokio::test]
async fn who_did_not_identify_and_who_did_twice() -> anyhow::Result<()> {
    let setting = Setting::prepare("identify").await?;
    let (url, token) = (&setting.url, &setting.owner.token);
    for op in [3, 4, 8] {
        let payload = json!({ "op": op, "d": {} });
        ensure!(code_after(url, Message::text(payload.to_string())).await? == Some(4003), "opcode {op}");
    }
    let other = Person::register(setting.server.api()?, "identify2").await?;
    let (_, rest) = token.split_once('.').context("a token has parts")?;
    let (user, _) = other.token.split_once('.').context("a token has parts")?;
    for wrong in ["", "nonsense", "a.b.c", &format!("{user}.{rest}"), &token[..token.len() - 3]] {
        ensure!(code_after(url, identify(wrong, "shard", Value::Null)).await? == Some(4004), "{wrong}");
    }
    let mut twice = Gateway::start(url, token, None).await?;
    twice.identify(token, &json!({})).await?;
    ensure!(twice.closed().await? == Some(4005));
    let mut both = Gateway::start(url, token, None).await?;
    let resume = json!({ "op": 6, "d": { "token": token, "session_id": both.session_id()?, "seq": 1 } });
    both.send(&resume).await?;
    ensure!(both.closed().await? == Some(4005));
    Ok(())
}

#[tokio::test]
async fn bad_shards_intents_versions() -> anyhow::Result<()> {
    let setting = Setting::prepare("shards").await?;
    let bot = bot_in(&setting.guild, &setting.owner, "Shards", 0).await?;
    let (url, token) = (&setting.url, bot.token.as_str());
    for shard in [json!([2, 2]), json!([-1, 2]), json!([0, 0]), json!([0]), json!([0, 1, 2])] {
        ensure!(code_after(url, identify(token, "shard", shard.clone())).await? == Some(4010), "{shard}");
    }
    for intents in [json!(1_u64 << 17), json!(-1), json!(1.5), json!(u64::MAX), Value::Null] {
        ensure!(code_after(url, identify(token, "intents", intents.clone())).await? == Some(4013), "{intents}");
    }
    for query in ["v=8&encoding=json", "v=11&encoding=json", "v=x&encoding=json"] {
        let mut gateway = Gateway::connect(url, query).await?;
        ensure!(gateway.closed().await? == Some(4012), "{query}");
    }
    for query in ["v=9&encoding=json", "encoding=json", ""] {
        let mut gateway = Gateway::connect(url, query).await?;
        ensure!(gateway.payload().await?["op"] == 10, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn privileged_intents_want_a_grant() -> anyhow::Result<()> {
    let setting = Setting::prepare("privileged").await?;
    let bot = bot_in(&setting.guild, &setting.owner, "Privileged", 0).await?;
    bot.patch("/applications/@me", &json!({ "flags": 0 })).await?;
    let asked = identify(&bot.token, "intents", json!(intents::GUILDS | intents::MESSAGE_CONTENT));
    ensure!(code_after(&setting.url, asked).await? == Some(4014));
    Gateway::start(&setting.url, &bot.token, Some(intents::GUILDS)).await?;
    Ok(())
}

#[tokio::test]
async fn too_fast_and_too_silent() -> anyhow::Result<()> {
    let setting = Setting::on(&STRICT, "toofast").await?;
    let mut fast = Gateway::start(&setting.url, &setting.owner.token, None).await?;
    // 120 in a minute, IDENTIFY included: 119 heartbeats are answered one by one, the next one closes.
    for n in 1..=119 {
        fast.send(&json!({ "op": 1, "d": fast.seq })).await?;
        loop {
            match fast.next().await? {
                Arrival::Payload(payload) if payload["op"] == 11 => break,
                Arrival::Payload(_) => {}
                Arrival::Closed(code) => anyhow::bail!("closed with {code:?} after {n} heartbeats"),
            }
        }
    }
    fast.send(&json!({ "op": 1, "d": fast.seq })).await?;
    ensure!(fast.closed().await? == Some(4008), "the one too many is let through");
    let mut silent = Gateway::start(&setting.url, &setting.owner.token, None).await?;
    ensure!(silent.closed().await? == Some(4009), "a client without heartbeats stays");
    Ok(())
}

#[tokio::test]
async fn resuming_what_is_not_there() -> anyhow::Result<()> {
    let setting = Setting::prepare("resuming").await?;
    let token = &setting.owner.token;
    let other = Person::register(setting.server.api()?, "resuming2").await?;
    let live = Gateway::start(&setting.url, token, None).await?;
    let session_id = live.session_id()?.to_owned();
    let resume = |token: &str, session_id: &str, seq: u64| json!({ "op": 6, "d": { "token": token, "session_id": session_id, "seq": seq } });
    // Unknown, nonsense, and somebody else's: all are the same.
    for payload in [
        resume(token, "00000000000000000000000000000000", 1),
        resume(token, "nonsense", 1),
        resume(&other.token, &session_id, 1),
    ] {
        let mut gateway = Gateway::open(&setting.url).await?;
        gateway.send(&payload).await?;
        let answer = gateway.payload().await?;
        ensure!(answer["op"] == 9 && answer["d"] == false, "{payload}: {answer}");
        // The connection is still good for an IDENTIFY.
        gateway.identify(token, &json!({})).await?;
        gateway.event("READY").await?;
    }
    let mut gateway = Gateway::open(&setting.url).await?;
    gateway.send(&resume(token, &session_id, 1_000_000)).await?;
    ensure!(gateway.closed().await? == Some(4007));
    ensure!(code_after(&setting.url, Message::text(resume("x.y.z", &session_id, 1).to_string())).await? == Some(4004));
    Ok(())
}

#[tokio::test]
async fn a_client_that_stops_reading_misses_nothing() -> anyhow::Result<()> {
    const WRITERS: usize = 4;
    const EACH: usize = 120;
    let setting = Setting::prepare("slow").await?;
    let member = setting.member("slow2").await?;
    let mut slow = Gateway::start(&setting.url, &member.token, None).await?;
    slow.forget_early();
    // Three bytes a character: with the kernel's buffers in between, much more than may wait unsent.
    let filler = "鴉".repeat(1_900);
    let writers = (0..WRITERS).map(|writer| {
        let (setting, filler) = (&setting, &filler);
        async move {
            for n in 0..EACH {
                setting.owner.say(&setting.guild.channel_id, &format!("{writer}-{n} {filler}")).await?;
            }
            anyhow::Ok(())
        }
    });
    futures_util::future::try_join_all(writers).await?;
    let mut seen = Vec::new();
    let code = loop {
        match slow.next().await? {
            Arrival::Payload(payload) if payload["t"] == "MESSAGE_CREATE" => {
                seen.push(text(&payload["d"], "id")?.to_owned());
            }
            Arrival::Payload(_) => {}
            Arrival::Closed(code) => break code,
        }
        ensure!(seen.len() < WRITERS * EACH, "the server kept {} messages for a client that did not read", seen.len());
    };
    ensure!(code == Some(4000) || code.is_none(), "closed with {code:?}");
    let before = seen.len();
    let mut resumed = slow.resume().await?;
    loop {
        match resumed.next_event().await? {
            (name, data) if name == "MESSAGE_CREATE" => seen.push(text(&data, "id")?.to_owned()),
            (name, _) if name == "RESUMED" => break,
            (name, data) => anyhow::bail!("unexpected {name} {data}"),
        }
    }
    let mut stored = Vec::new();
    let mut before_id = String::new();
    while stored.len() < WRITERS * EACH {
        let path = format!("/channels/{}/messages?limit=100{before_id}", setting.guild.channel_id);
        let page = setting.owner.get(&path).await?;
        let page = page.as_array().context("a page")?;
        let ids = page.iter().filter(|message| message["type"] == 0).map(|message| text(message, "id"));
        stored.extend(ids.map(|id| id.map(str::to_owned)).collect::<anyhow::Result<Vec<_>>>()?);
        let oldest = page.last().context("more messages were written")?;
        before_id = format!("&before={}", text(oldest, "id")?);
    }
    stored.reverse();
    ensure!(seen == stored, "{} seen ({before} before the cut), {} stored", seen.len(), stored.len());
    // And it goes on live.
    setting.owner.say(&setting.guild.channel_id, "after").await?;
    ensure!(resumed.until_message("after").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn leaving_for_now_and_for_good() -> anyhow::Result<()> {
    let setting = Setting::prepare("leaving").await?;
    let (owner, channel_id) = (&setting.owner, &setting.guild.channel_id);
    let gateway = Gateway::start(&setting.url, &owner.token, None).await?;
    let gone = gateway.leave_for_now().await?;
    for n in 0..10 {
        owner.say(channel_id, &format!("meanwhile {n}")).await?;
    }
    let mut back = gone.resume().await?;
    back.forget_early();
    for n in 0..10 {
        let [message] = back.expect(["MESSAGE_CREATE"]).await?;
        ensure!(message["content"] == format!("meanwhile {n}"), "{message}");
    }
    back.expect(["RESUMED"]).await?;
    Ok(())
}

/// Whether an event says anything of a channel.
fn tells_of(event: &(String, Value), channel_id: &str) -> bool {
    event.1.to_string().contains(channel_id)
}

/// Everything that can happen in a channel.
async fn live_in(owner: &Person, channel_id: &str) -> anyhow::Result<()> {
    let said = owner.say(channel_id, "for few @everyone").await?;
    let message = format!("/channels/{channel_id}/messages/{said}");
    owner.patch(&message, &json!({ "content": "edited" })).await?;
    owner.post(&format!("/channels/{channel_id}/typing"), &json!({})).await?;
    owner.put(&format!("{message}/reactions/%F0%9F%91%8D/@me")).await?;
    owner.delete(&format!("{message}/reactions/%F0%9F%91%8D/@me")).await?;
    owner.put(&format!("/channels/{channel_id}/pins/{said}")).await?;
    owner.delete(&format!("/channels/{channel_id}/pins/{said}")).await?;
    let invite = owner.post(&format!("/channels/{channel_id}/invites"), &json!({})).await?;
    owner.delete(&format!("/invites/{}", text(&invite, "code")?)).await?;
    owner.patch(&format!("/channels/{channel_id}"), &json!({ "topic": "for few" })).await?;
    let more = [owner.say(channel_id, "one").await?, owner.say(channel_id, "two").await?];
    owner.post(&format!("/channels/{channel_id}/messages/bulk-delete"), &json!({ "messages": more })).await?;
    owner.delete(&message).await?;
    Ok(())
}

#[tokio::test]
async fn nothing_of_a_hidden_channel_gets_out() -> anyhow::Result<()> {
    let setting = Setting::prepare("hiding").await?;
    let (owner, guild) = (&setting.owner, &setting.guild);
    let member = setting.member("hiding2").await?;
    let before = guild.hidden_channel(owner, "before").await?;
    let bot = bot_in(guild, owner, "Peeper", 0).await?;
    let all = intents::GUILDS | intents::GUILD_MESSAGES | intents::MESSAGE_CONTENT | 1 << 6 | 1 << 10 | 1 << 11;
    let mut person_sees = Gateway::start(&setting.url, &member.token, None).await?;
    let mut bot_sees = Gateway::start(&setting.url, &bot.token, Some(all)).await?;
    let mut owner_sees = Gateway::start(&setting.url, &owner.token, None).await?;
    owner_sees.forget_early();

    let later = guild.hidden_channel(owner, "later").await?;
    for channel_id in [&before, &later] {
        live_in(owner, channel_id).await?;
    }
    // A channel that everybody saw, and then does not.
    let open = guild.channel(owner, "open").await?;
    owner.say(&open, "seen by all").await?;
    let deny = json!({ "type": 0, "allow": "0", "deny": "1024" });
    owner.put_with(&format!("/channels/{open}/permissions/{}", guild.id), &deny).await?;
    live_in(owner, &open).await?;
    owner.delete(&format!("/channels/{open}")).await?;
    owner.delete(&format!("/channels/{later}")).await?;
    owner.say(&guild.channel_id, "fence").await?;

    for sees in [&mut person_sees, &mut bot_sees] {
        let events = sees.until_message("fence").await?;
        for hidden in [&before, &later] {
            let told: Vec<_> = events.iter().filter(|event| tells_of(event, hidden)).collect();
            ensure!(told.is_empty(), "{told:?}");
        }
        let of_open: Vec<&str> = events.iter().filter(|e| tells_of(e, &open)).map(|(name, _)| name.as_str()).collect();
        ensure!(of_open == ["CHANNEL_CREATE", "MESSAGE_CREATE", "CHANNEL_DELETE"], "{of_open:?}");
    }
    // The owner saw all of it, so there was something to be seen.
    let events = owner_sees.until_message("fence").await?;
    let of_before: Vec<&str> = events.iter().filter(|e| tells_of(e, &before)).map(|(name, _)| name.as_str()).collect();
    for name in [
        "MESSAGE_CREATE",
        "MESSAGE_UPDATE",
        "MESSAGE_DELETE",
        "MESSAGE_DELETE_BULK",
        "TYPING_START",
        "MESSAGE_REACTION_ADD",
        "MESSAGE_REACTION_REMOVE",
        "CHANNEL_PINS_UPDATE",
        "CHANNEL_UPDATE",
        "INVITE_CREATE",
        "INVITE_DELETE",
    ] {
        ensure!(of_before.contains(&name), "the owner missed {name}: {of_before:?}");
    }
    Ok(())
}

#[tokio::test]
async fn permission_given_and_taken_in_the_middle() -> anyhow::Result<()> {
    const ROUNDS: usize = 3;
    const SAID: usize = 12;
    let setting = Setting::prepare("midstream").await?;
    let (owner, guild) = (&setting.owner, &setting.guild);
    let member = setting.member("midstream2").await?;
    let hidden = guild.hidden_channel(owner, "sometimes").await?;
    let mut sees = Gateway::start(&setting.url, &member.token, None).await?;
    sees.forget_early();
    for round in 0..ROUNDS {
        // Messages go on while the permission comes and goes.
        let talk = async {
            for n in 0..SAID {
                owner.say(&hidden, &format!("{round}-{n}")).await?;
            }
            anyhow::Ok(())
        };
        let change = async {
            guild.show(owner, &hidden, &member.id).await?;
            owner.say(&guild.channel_id, "shown").await?;
            guild.hide(owner, &hidden, &member.id).await
        };
        futures_util::future::try_join(talk, change).await?;
        owner.say(&hidden, "never seen").await?;
        owner.say(&guild.channel_id, &format!("fence {round}")).await?;
        let events = sees.until_message(&format!("fence {round}")).await?;
        let of_hidden: Vec<_> = events.iter().filter(|event| tells_of(event, &hidden)).collect();
        let names: Vec<&str> = of_hidden.iter().map(|(name, _)| name.as_str()).collect();
        let (first, last) = (names.first().context("it was shown")?, names.last().context("it was hidden")?);
        ensure!(*first == "CHANNEL_CREATE" && *last == "CHANNEL_DELETE", "{names:?}");
        let between = &names[1..names.len() - 1];
        ensure!(between.iter().all(|name| *name == "MESSAGE_CREATE"), "{names:?}");
        let numbers: Vec<usize> = of_hidden
            .iter()
            .filter_map(|(_, data)| data["content"].as_str()?.strip_prefix(&format!("{round}-"))?.parse().ok())
            .collect();
        ensure!(numbers.len() == between.len(), "{of_hidden:?}");
        ensure!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap while it was shown: {numbers:?}");
    }
    // A role gives and takes as an overwrite does.
    let role = owner.post(&format!("/guilds/{}/roles", guild.id), &json!({ "name": "seers" })).await?;
    let role = text(&role, "id")?;
    let allow = json!({ "type": 0, "allow": "1024", "deny": "0" });
    owner.put_with(&format!("/channels/{hidden}/permissions/{role}"), &allow).await?;
    let membership = format!("/guilds/{}/members/{}/roles/{role}", guild.id, member.id);
    owner.put(&membership).await?;
    owner.say(&hidden, "seen by role").await?;
    owner.delete(&membership).await?;
    owner.say(&hidden, "not seen").await?;
    owner.say(&guild.channel_id, "the end").await?;
    let events = sees.until_message("the end").await?;
    let of_hidden: Vec<&str> = events.iter().filter(|e| tells_of(e, &hidden)).map(|(name, _)| name.as_str()).collect();
    ensure!(of_hidden == ["CHANNEL_CREATE", "MESSAGE_CREATE", "CHANNEL_DELETE"], "{of_hidden:?}");
    Ok(())
}

#[tokio::test]
async fn who_is_kicked_hears_no_more() -> anyhow::Result<()> {
    let setting = Setting::prepare("kicked").await?;
    let (owner, guild) = (&setting.owner, &setting.guild);
    let member = setting.member("kicked2").await?;
    let second = Guild::create(owner, "second").await?;
    second.welcome(owner, &member).await?;
    let mut sees = Gateway::start(&setting.url, &member.token, None).await?;
    sees.forget_early();
    owner.say(&guild.channel_id, "before").await?;
    owner.delete(&format!("/guilds/{}/members/{}", guild.id, member.id)).await?;
    owner.say(&guild.channel_id, "after").await?;
    owner.say(&second.channel_id, "fence").await?;
    let events = sees.until_message("fence").await?;
    let of_guild = events.iter().filter(|e| tells_of(e, &guild.id)).map(|(name, _)| name.as_str());
    // The guilds come one by one after READY: the first event may still be this one's arrival.
    let of_guild: Vec<&str> = of_guild.skip_while(|name| *name == "GUILD_CREATE").collect();
    ensure!(of_guild == ["MESSAGE_CREATE", "GUILD_DELETE"], "{events:?}");
    let (_, deleted) = events.iter().find(|(name, _)| name == "GUILD_DELETE").context("found above")?;
    ensure!(deleted["unavailable"].as_bool() != Some(true), "who was removed is not told of an outage: {deleted}");
    Ok(())
}

#[tokio::test]
async fn signing_out_closes_what_is_open() -> anyhow::Result<()> {
    let setting = Setting::prepare("signout").await?;
    let owner = &setting.owner;
    let login = json!({ "login": "signout@example.org", "password": PASSWORD });
    let other = Person::stranger(setting.server.api()?).post("/auth/login", &login).await?;
    let other = owner.with_authorization(text(&other, "token")?);
    let other_token =
        text(&Person::stranger(setting.server.api()?).post("/auth/login", &login).await?, "token")?.to_owned();
    let mut first = Gateway::start(&setting.url, &owner.token, None).await?;
    let mut second = Gateway::start(&setting.url, &other_token, None).await?;
    owner.post("/auth/logout", &json!({})).await?;
    ensure!(first.closed().await? == Some(4004), "the session of the token that ended goes on");
    owner.ask(reqwest::Method::GET, "/users/@me", None).await?.is_error(401, 0)?;
    let mut again = Gateway::open(&setting.url).await?;
    again.identify(&owner.token, &json!({})).await?;
    ensure!(again.closed().await? == Some(4004));
    // What was signed in elsewhere stays.
    other.say(&setting.guild.channel_id, "still here").await?;
    second.until_message("still here").await?;
    // A resume with the token that ended does not bring it back.
    let mut resumed = first.resume().await?;
    ensure!(resumed.closed().await? == Some(4004));
    Ok(())
}

#[tokio::test]
async fn a_new_bot_token_ends_the_old_one() -> anyhow::Result<()> {
    let setting = Setting::prepare("newtoken").await?;
    let bot = bot_in(&setting.guild, &setting.owner, "Renewed", 0).await?;
    let mut session = Gateway::start(&setting.url, &bot.token, Some(intents::GUILDS)).await?;
    let reset = setting.owner.post(&format!("/applications/{}/bot/reset", bot.id), &json!({})).await?;
    ensure!(session.closed().await? == Some(4004));
    bot.ask(reqwest::Method::GET, "/users/@me", None).await?.is_error(401, 0)?;
    let renewed = setting.owner.bot_of(&bot.id, text(&reset, "token")?);
    renewed.get("/users/@me").await?;
    Gateway::start(&setting.url, &renewed.token, Some(intents::GUILDS)).await?;
    Ok(())
}

#[tokio::test]
async fn content_is_for_those_who_may_have_it() -> anyhow::Result<()> {
    let setting = Setting::prepare("content").await?;
    let (owner, channel_id) = (&setting.owner, &setting.guild.channel_id);
    let bot = bot_in(&setting.guild, owner, "Reader", 8).await?;
    let base = intents::GUILDS | intents::GUILD_MESSAGES | intents::DIRECT_MESSAGES;
    let mut without = Gateway::start(&setting.url, &bot.token, Some(base)).await?;
    let mut with = Gateway::start(&setting.url, &bot.token, Some(base | intents::MESSAGE_CONTENT)).await?;
    without.forget_early();
    with.forget_early();
    let embed = json!([{ "title": "secret title" }]);
    let path = format!("/channels/{channel_id}/messages");
    let said = owner.post(&path, &json!({ "content": "secret", "embeds": embed })).await?;
    let said = text(&said, "id")?;
    owner.patch(&format!("{path}/{said}"), &json!({ "content": "secret still" })).await?;
    let reply = json!({ "content": "a secret reply", "message_reference": { "message_id": said } });
    owner.post(&path, &reply).await?;
    for _ in 0..3 {
        let (name, data) = without.next_event().await?;
        ensure!(name == "MESSAGE_CREATE" || name == "MESSAGE_UPDATE", "{name}");
        ensure!(data["content"] == "" && data["embeds"] == json!([]), "{data}");
        ensure!(!data.to_string().contains("secret"), "{data}");
        ensure!(data["author"]["id"] == owner.id.as_str(), "{data}");
    }
    let [created, updated, replied] = with.expect(["MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_CREATE"]).await?;
    ensure!(created["content"] == "secret" && created["embeds"][0]["title"] == "secret title", "{created}");
    ensure!(updated["content"] == "secret still", "{updated}");
    ensure!(replied["referenced_message"]["content"] == "secret still", "{replied}");

    // A mention, the bot's own messages and DMs come whole.
    owner.say(channel_id, &format!("hello <@{}>", bot.id)).await?;
    bot.say(channel_id, "my own").await?;
    let dm = owner.post("/users/@me/channels", &json!({ "recipient_id": bot.id })).await?;
    owner.say(text(&dm, "id")?, "between us").await?;
    let mut contents = Vec::new();
    while contents.len() < 3 {
        let data = without.event("MESSAGE_CREATE").await?;
        contents.push(text(&data, "content")?.to_owned());
    }
    // The DM has an owner of its own, so only the guild's two have an order.
    contents.sort_by_key(|content| content == "between us");
    ensure!(contents == [format!("hello <@{}>", bot.id), "my own".into(), "between us".into()], "{contents:?}");
    Ok(())
}

/// The shard of two that a guild belongs to.
fn shard_of(guild_id: &str) -> anyhow::Result<usize> {
    Ok(usize::try_from((guild_id.parse::<u64>()? >> 22) % 2)?)
}

#[tokio::test]
async fn two_shards_divide_the_guilds() -> anyhow::Result<()> {
    let setting = Setting::prepare("twoshards").await?;
    let owner = &setting.owner;
    let bot = bot_in(&setting.guild, owner, "Divided", 0).await?;
    let mut guilds: [Vec<Guild>; 2] = [Vec::new(), Vec::new()];
    guilds[shard_of(&setting.guild.id)?].push(setting.guild.clone());
    // The milliseconds of its making say where a guild goes, so a few tries give some to both.
    for n in 0..64 {
        let guild = Guild::create(owner, &format!("guild {n}")).await?;
        let authorize = format!("/oauth2/authorize?client_id={}&scope=bot&permissions=0", bot.id);
        owner.post(&authorize, &json!({ "guild_id": guild.id, "authorize": true })).await?;
        guilds[shard_of(&guild.id)?].push(guild);
        if guilds.iter().all(|of_shard| of_shard.len() >= 2) {
            break;
        }
    }
    let asked = intents::GUILDS | intents::GUILD_MESSAGES | intents::MESSAGE_CONTENT | intents::DIRECT_MESSAGES;
    let mut shards = Vec::new();
    for (id, of_shard) in guilds.iter().enumerate() {
        let fields = json!({ "intents": asked, "shard": [id, 2] });
        let mut shard = Gateway::start_with(&setting.url, &bot.token, &fields).await?;
        shard.forget_early();
        ensure!(shard.ready["shard"] == json!([id, 2]), "{}", shard.ready);
        let mut listed: Vec<&str> = shard.ready["guilds"]
            .as_array()
            .context("guilds")?
            .iter()
            .filter_map(|guild| guild["id"].as_str())
            .collect();
        let mut wanted: Vec<&str> = of_shard.iter().map(|guild| guild.id.as_str()).collect();
        listed.sort_unstable();
        wanted.sort_unstable();
        ensure!(listed == wanted && !wanted.is_empty(), "shard {id}: {listed:?}, wanted {wanted:?}");
        shards.push(shard);
    }
    for guild in guilds.iter().flatten() {
        owner.say(&guild.channel_id, &format!("in {}", guild.id)).await?;
    }
    let dm = owner.post("/users/@me/channels", &json!({ "recipient_id": bot.id })).await?;
    owner.say(text(&dm, "id")?, "a DM").await?;
    // A guild that comes now goes to its shard as well.
    let new = Guild::create(owner, "new").await?;
    let authorize = format!("/oauth2/authorize?client_id={}&scope=bot&permissions=0", bot.id);
    owner.post(&authorize, &json!({ "guild_id": new.id, "authorize": true })).await?;
    let of_new = shard_of(&new.id)?;
    shards[of_new].event("GUILD_CREATE").await?;
    for (id, shard) in shards.iter_mut().enumerate() {
        let fence = guilds[id].first().context("each has some")?;
        owner.say(&fence.channel_id, "fence").await?;
        let events = shard.until_message("fence").await?;
        let mut said: Vec<&str> = events
            .iter()
            .filter(|(name, data)| name == "MESSAGE_CREATE" && data["guild_id"].is_string() && data["type"] == 0)
            .filter_map(|(_, data)| data["guild_id"].as_str())
            .collect();
        let mut wanted: Vec<&str> = guilds[id].iter().map(|guild| guild.id.as_str()).collect();
        said.sort_unstable();
        wanted.sort_unstable();
        ensure!(said == wanted, "shard {id}: {said:?}, wanted {wanted:?}");
        // Guild and DM have owners of their own: the DM may come after the fence, but on shard 0 it comes.
        let in_events = events.iter().any(|(name, data)| name == "MESSAGE_CREATE" && data["content"] == "a DM");
        if id == 0 && !in_events {
            shard.until_message("a DM").await?;
        }
        ensure!(id == 0 || !in_events, "a DM on shard {id}");
    }
    Ok(())
}
