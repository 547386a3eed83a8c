//! What people and a bot do all day: everything through REST, and on the gateway what each sees of it, in order.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use rookery_tests::{Gateway, Guild, InUse, PASSWORD, Person, Shared, bot_in, text};
use serde_json::{Value, json};

static SERVER: Shared = Shared::new(&["--set", "limits=off"]);

/// All intents but presences.
const BOT_INTENTS: u64 = ALL_INTENTS & !(1 << 8);
const ALL_INTENTS: u64 = ((1 << 17) - 1) | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25;

/// Everybody who looks on; each must see the same, in the same order.
struct Company {
    server: Arc<InUse>,
    alice: Person,
    bob: Person,
    rook: Person,
    guild: Guild,
    /// Alice's, Bob's and the bot's sessions.
    sessions: [Gateway; 3],
}

impl Company {
    /// Alice with a guild, Bob in it, her bot in it, all of them connected, all greetings read.
    async fn gather(name: &str) -> anyhow::Result<Self> {
        let server = SERVER.get().await?;
        let alice = Person::register(server.api()?, &format!("{name}_alice")).await?;
        let bob = Person::register(server.api()?, &format!("{name}_bob")).await?;
        let guild = Guild::create(&alice, name).await?;
        guild.welcome(&alice, &bob).await?;
        let rook = bot_in(&guild, &alice, "Rook", 8).await?;
        let url = server.gateway()?.to_owned();
        let mut sessions = [
            Gateway::start(&url, &alice.token, None).await?,
            Gateway::start(&url, &bob.token, None).await?,
            Gateway::start(&url, &rook.token, Some(BOT_INTENTS)).await?,
        ];
        sessions.iter_mut().for_each(Gateway::forget_early);
        Ok(Self { server, alice, bob, rook, guild, sessions })
    }

    /// All see these events next, and the same of each; returns what they say.
    async fn all_see<const N: usize>(&mut self, names: [&str; N]) -> anyhow::Result<[Value; N]> {
        let [alice, others @ ..] = &mut self.sessions;
        let seen = alice.expect(names).await.context("Alice")?;
        for (other, who) in others.iter_mut().zip(["Bob", "the bot"]) {
            let also = other.expect(names).await.context(who)?;
            ensure!(also == seen, "{who} saw {also:?}, Alice {seen:?}");
        }
        Ok(seen)
    }

    /// Only these see these events next.
    async fn see<const N: usize>(&mut self, who: &[usize], names: [&str; N]) -> anyhow::Result<Vec<[Value; N]>> {
        let mut seen = Vec::new();
        for n in who {
            seen.push(self.sessions[*n].expect(names).await.with_context(|| format!("session {n}"))?);
        }
        Ok(seen)
    }

    fn messages(&self) -> String {
        format!("/channels/{}/messages", self.guild.channel_id)
    }
}

const ALICE: usize = 0;
const BOB: usize = 1;
const ROOK: usize = 2;

#[tokio::test]
async fn a_guild_begins_and_ends() -> anyhow::Result<()> {
    let server = SERVER.get().await?;
    let (api, url) = (server.api()?, server.gateway()?.to_owned());
    let alice = Person::register(api, "begin_alice").await?;
    let bob = Person::register(api, "begin_bob").await?;
    // Signing in again gives a second token for the same account.
    let login = json!({ "login": "begin_bob@example.org", "password": PASSWORD });
    let again = Person::stranger(api).post("/auth/login", &login).await?;
    ensure!(again["user_id"] == bob.id.as_str() && again["token"] != bob.token.as_str(), "{again}");
    let bob = Person::new(api, &bob.id, text(&again, "token")?);
    let me = bob.get("/users/@me").await?;
    ensure!(me["username"] == "begin_bob" && me["email"] == "begin_bob@example.org", "{me}");
    let seen = alice.get(&format!("/users/{}", bob.id)).await?;
    ensure!(seen["username"] == "begin_bob" && seen.get("email").is_none(), "{seen}");

    let mut alice_sees = Gateway::start(&url, &alice.token, None).await?;
    let mut bob_sees = Gateway::start(&url, &bob.token, None).await?;
    let guild = Guild::announcing(&alice, "The Rookery").await?;
    let [created] = alice_sees.expect(["GUILD_CREATE"]).await?;
    ensure!(created["id"] == guild.id.as_str() && created["name"] == "The Rookery", "{created}");
    ensure!(created["owner_id"] == alice.id.as_str() && created["member_count"] == 1, "{created}");
    ensure!(created["channels"].as_array().is_some_and(|channels| channels.len() == 4), "{created}");
    ensure!(created["roles"][0]["id"] == guild.id.as_str(), "{created}");

    let invites = format!("/channels/{}/invites", guild.channel_id);
    let invite = alice.post(&invites, &json!({ "max_uses": 2 })).await?;
    let code = text(&invite, "code")?.to_owned();
    alice_sees.expect(["INVITE_CREATE"]).await?;
    let shown = Person::stranger(api).get(&format!("/invites/{code}?with_counts=true")).await?;
    ensure!(shown["guild"]["id"] == guild.id.as_str() && shown["approximate_member_count"] == 1, "{shown}");
    let accepted = bob.post(&format!("/invites/{code}"), &json!({})).await?;
    ensure!(accepted["new_member"] == true && accepted["guild"]["id"] == guild.id.as_str(), "{accepted}");
    let [joined, note] = alice_sees.expect(["GUILD_MEMBER_ADD", "MESSAGE_CREATE"]).await?;
    ensure!(joined["user"]["id"] == bob.id.as_str() && joined["guild_id"] == guild.id.as_str(), "{joined}");
    ensure!(note["type"] == 7 && note["author"]["id"] == bob.id.as_str(), "{note}");
    ensure!(note["channel_id"] == guild.channel_id.as_str(), "{note}");
    let [created] = bob_sees.expect(["GUILD_CREATE"]).await?;
    ensure!(created["member_count"] == 2, "{created}");
    // Once more changes nothing, and uses nothing up.
    let accepted = bob.post(&format!("/invites/{code}"), &json!({})).await?;
    ensure!(accepted["new_member"] == false, "{accepted}");

    let rook = bot_in(&guild, &alice, "Rook", 8).await?;
    for sees in [&mut alice_sees, &mut bob_sees] {
        let [role, member, _] = sees.expect(["GUILD_ROLE_CREATE", "GUILD_MEMBER_ADD", "MESSAGE_CREATE"]).await?;
        ensure!(role["role"]["managed"] == true && role["role"]["tags"]["bot_id"] == rook.id.as_str(), "{role}");
        ensure!(member["user"]["bot"] == true && member["roles"][0] == role["role"]["id"], "{member}");
    }
    let mut rook_sees = Gateway::start(&url, &rook.token, Some(BOT_INTENTS)).await?;
    ensure!(rook_sees.ready["application"]["id"] == rook.id.as_str(), "{}", rook_sees.ready);
    ensure!(rook_sees.ready["guilds"] == json!([{ "id": guild.id, "unavailable": true }]), "{}", rook_sees.ready);
    rook_sees.expect(["GUILD_CREATE"]).await?;

    // A kick, a return, a departure.
    alice.delete(&format!("/guilds/{}/members/{}", guild.id, bob.id)).await?;
    bob_sees.expect(["GUILD_DELETE"]).await?;
    for sees in [&mut alice_sees, &mut rook_sees] {
        let [removed] = sees.expect(["GUILD_MEMBER_REMOVE"]).await?;
        ensure!(removed["user"]["id"] == bob.id.as_str(), "{removed}");
    }
    ensure!(bob.get("/users/@me/guilds").await? == json!([]));
    bob.post(&format!("/invites/{code}"), &json!({})).await?;
    bob_sees.expect(["GUILD_CREATE"]).await?;
    // Its two uses are over.
    bob.ask(Method::GET, &format!("/invites/{code}"), None).await?.is_error(404, 10006)?;
    bob.delete(&format!("/users/@me/guilds/{}", guild.id)).await?;
    bob_sees.expect(["GUILD_DELETE"]).await?;
    for sees in [&mut alice_sees, &mut rook_sees] {
        sees.expect(["GUILD_MEMBER_ADD", "MESSAGE_CREATE", "GUILD_MEMBER_REMOVE"]).await?;
    }
    // An owner does not leave; a guild ends by its owner's word alone.
    let answer = alice.ask(Method::DELETE, &format!("/users/@me/guilds/{}", guild.id), None).await?;
    answer.is_error(400, 50055)?;
    rook.ask(Method::DELETE, &format!("/guilds/{}", guild.id), None).await?.is_error(403, 50013)?;
    alice.delete(&format!("/guilds/{}", guild.id)).await?;
    for sees in [&mut alice_sees, &mut rook_sees] {
        let [deleted] = sees.expect(["GUILD_DELETE"]).await?;
        ensure!(deleted["id"] == guild.id.as_str() && deleted["unavailable"].as_bool() != Some(true), "{deleted}");
    }
    alice.ask(Method::GET, &format!("/guilds/{}", guild.id), None).await?.is_error(404, 10004)?;
    alice.ask(Method::GET, &format!("/channels/{}", guild.channel_id), None).await?.is_error(404, 10003)?;
    ensure!(alice.get("/users/@me/guilds").await? == json!([]));
    // A session that starts now knows nothing of it.
    ensure!(Gateway::start(&url, &alice.token, None).await?.ready["guilds"] == json!([]));
    Ok(())
}

#[tokio::test]
async fn channels_and_roles() -> anyhow::Result<()> {
    let mut company = Company::gather("rooms").await?;
    let (alice, bob, guild) = (company.alice.clone(), company.bob.clone(), company.guild.clone());
    let channels = format!("/guilds/{}/channels", guild.id);
    let category = alice.post(&channels, &json!({ "name": "Halls", "type": 4 })).await?;
    let body = json!({ "name": "Great Hall", "type": 0, "topic": "Feasts", "parent_id": category["id"] });
    let hall = alice.post(&channels, &body).await?;
    let voice = alice.post(&channels, &json!({ "name": "Choir", "type": 2, "bitrate": 64_000 })).await?;
    ensure!(hall["name"] == "great-hall" && hall["topic"] == "Feasts" && hall["parent_id"] == category["id"], "{hall}");
    let seen = company.all_see(["CHANNEL_CREATE"; 3]).await?;
    ensure!(seen[0]["id"] == category["id"] && seen[1]["id"] == hall["id"] && seen[2]["id"] == voice["id"], "{seen:?}");
    ensure!(seen[2]["bitrate"] == 64_000 && seen[2]["type"] == 2, "{seen:?}");
    let path = format!("/channels/{}", text(&hall, "id")?);
    alice.patch(&path, &json!({ "name": "small-hall", "topic": null, "rate_limit_per_user": 5 })).await?;
    let [changed] = company.all_see(["CHANNEL_UPDATE"]).await?;
    ensure!(changed["name"] == "small-hall" && changed["topic"].is_null(), "{changed}");
    ensure!(changed["rate_limit_per_user"] == 5, "{changed}");
    let listed = bob.get(&channels).await?;
    ensure!(listed.as_array().is_some_and(|all| all.len() == 7 && all.contains(&changed)), "{listed}");

    let roles = format!("/guilds/{}/roles", guild.id);
    let bards = alice.post(&roles, &json!({ "name": "Bards", "color": 0x33_66_99, "mentionable": true })).await?;
    let role_id = text(&bards, "id")?.to_owned();
    let [created] = company.all_see(["GUILD_ROLE_CREATE"]).await?;
    ensure!(created["role"] == bards && created["guild_id"] == guild.id.as_str(), "{created}");
    let role = format!("{roles}/{role_id}");
    alice.patch(&role, &json!({ "name": "Skalds", "permissions": "8192" })).await?;
    let [updated] = company.all_see(["GUILD_ROLE_UPDATE"]).await?;
    ensure!(updated["role"]["name"] == "Skalds" && updated["role"]["permissions"] == "8192", "{updated}");

    // MANAGE_MESSAGES comes and goes with the role.
    let said = alice.say(&guild.channel_id, "a line").await?;
    company.all_see(["MESSAGE_CREATE"]).await?;
    let message = format!("{}/{said}", company.messages());
    bob.ask(Method::DELETE, &message, None).await?.is_error(403, 50013)?;
    let membership = format!("/guilds/{}/members/{}/roles/{role_id}", guild.id, bob.id);
    alice.put(&membership).await?;
    let [updated] = company.all_see(["GUILD_MEMBER_UPDATE"]).await?;
    ensure!(updated["roles"] == json!([role_id]) && updated["user"]["id"] == bob.id.as_str(), "{updated}");
    bob.delete(&message).await?;
    company.all_see(["MESSAGE_DELETE"]).await?;
    bob.patch(&format!("/guilds/{}/members/@me", guild.id), &json!({ "nick": "Bob the Skald" })).await?;
    let [updated] = company.all_see(["GUILD_MEMBER_UPDATE"]).await?;
    ensure!(updated["nick"] == "Bob the Skald" && updated["roles"] == json!([role_id]), "{updated}");
    let found = alice.get(&format!("/guilds/{}/members/search?query=bob&limit=5", guild.id)).await?;
    ensure!(found[0]["user"]["id"] == bob.id.as_str() && found[0]["nick"] == "Bob the Skald", "{found}");
    let listed = alice.get(&format!("/guilds/{}/members?limit=10", guild.id)).await?;
    ensure!(listed.as_array().map(Vec::len) == Some(3), "{listed}");

    alice.delete(&role).await?;
    let [deleted] = company.all_see(["GUILD_ROLE_DELETE"]).await?;
    ensure!(deleted["role_id"] == role_id.as_str(), "{deleted}");
    let member = alice.get(&format!("/guilds/{}/members/{}", guild.id, bob.id)).await?;
    ensure!(member["roles"] == json!([]), "{member}");
    alice.delete(&path).await?;
    let [deleted] = company.all_see(["CHANNEL_DELETE"]).await?;
    ensure!(deleted["id"] == hall["id"], "{deleted}");
    alice.ask(Method::GET, &path, None).await?.is_error(404, 10003)?;
    alice.patch(&format!("/guilds/{}", guild.id), &json!({ "name": "The Larger Rookery" })).await?;
    let [updated] = company.all_see(["GUILD_UPDATE"]).await?;
    ensure!(updated["name"] == "The Larger Rookery", "{updated}");
    Ok(())
}

#[tokio::test]
async fn a_conversation() -> anyhow::Result<()> {
    let mut company = Company::gather("talk").await?;
    let (alice, bob, rook) = (company.alice.clone(), company.bob.clone(), company.rook.clone());
    let path = company.messages();
    let channel_id = company.guild.channel_id.clone();

    bob.post(&format!("/channels/{channel_id}/typing"), &json!({})).await?;
    let [typing] = company.all_see(["TYPING_START"]).await?;
    ensure!(typing["user_id"] == bob.id.as_str() && typing["channel_id"] == channel_id.as_str(), "{typing}");
    let body = json!({ "content": format!("good morning <@{}>", alice.id), "nonce": "n-1" });
    let asked = bob.post(&path, &body).await?;
    ensure!(asked["nonce"] == "n-1" && asked["mentions"][0]["id"] == alice.id.as_str(), "{asked}");
    let [seen] = company.all_see(["MESSAGE_CREATE"]).await?;
    ensure!(seen["id"] == asked["id"] && seen["content"] == asked["content"], "{seen}");
    ensure!(seen["author"]["id"] == bob.id.as_str() && seen["guild_id"] == company.guild.id.as_str(), "{seen}");
    ensure!(seen["member"]["joined_at"].is_string() && seen["timestamp"] == asked["timestamp"], "{seen}");

    let embed = json!({ "title": "Good morning", "description": "to all", "color": 7, "fields": [{ "name": "n", "value": "v", "inline": true }] });
    let body = json!({ "content": "", "embeds": [embed], "message_reference": { "message_id": asked["id"] } });
    let answered = rook.post(&path, &body).await?;
    ensure!(answered["type"] == 19 && answered["embeds"][0]["title"] == "Good morning", "{answered}");
    ensure!(answered["referenced_message"]["id"] == asked["id"], "{answered}");
    let [seen] = company.all_see(["MESSAGE_CREATE"]).await?;
    ensure!(seen["embeds"][0]["fields"][0]["value"] == "v", "{seen}");
    ensure!(seen["mentions"][0]["id"] == bob.id.as_str(), "a reply mentions whom it answers: {seen}");

    // Reactions: two people, one emoji.
    let answer = format!("{path}/{}", text(&answered, "id")?);
    let thumb = format!("{answer}/reactions/%F0%9F%91%8D");
    for person in [&alice, &bob] {
        person.put(&format!("{thumb}/@me")).await?;
        let [added] = company.all_see(["MESSAGE_REACTION_ADD"]).await?;
        ensure!(added["user_id"] == person.id.as_str() && added["emoji"]["name"] == "👍", "{added}");
        ensure!(
            added["message_id"] == answered["id"] && added["member"]["user"]["id"] == person.id.as_str(),
            "{added}"
        );
    }
    // The same once more is nothing new: the next thing that all see is another.
    bob.put(&format!("{thumb}/@me")).await?;
    let shown = alice.get(&answer).await?;
    ensure!(shown["reactions"][0]["count"] == 2 && shown["reactions"][0]["me"] == true, "{shown}");
    let shown = rook.get(&answer).await?;
    ensure!(shown["reactions"][0]["me"] == false, "{shown}");
    let who = rook.get(&thumb).await?;
    let mut ids: Vec<&str> = who.as_array().context("a list")?.iter().filter_map(|user| user["id"].as_str()).collect();
    ids.sort_unstable();
    let mut wanted = [alice.id.as_str(), bob.id.as_str()];
    wanted.sort_unstable();
    ensure!(ids == wanted, "{who}");
    bob.delete(&format!("{thumb}/@me")).await?;
    let [removed] = company.all_see(["MESSAGE_REACTION_REMOVE"]).await?;
    ensure!(removed["user_id"] == bob.id.as_str(), "{removed}");
    rook.delete(&format!("{answer}/reactions")).await?;
    company.all_see(["MESSAGE_REACTION_REMOVE_ALL"]).await?;
    ensure!(alice.get(&answer).await?.get("reactions").is_none_or(|list| *list == json!([])));

    // A correction.
    let question = format!("{path}/{}", text(&asked, "id")?);
    let edited = bob.patch(&question, &json!({ "content": "good evening" })).await?;
    ensure!(edited["edited_timestamp"].is_string() && edited["mentions"] == json!([]), "{edited}");
    let [seen] = company.all_see(["MESSAGE_UPDATE"]).await?;
    ensure!(seen["content"] == "good evening" && seen["edited_timestamp"] == edited["edited_timestamp"], "{seen}");
    ensure!(seen["timestamp"] == asked["timestamp"], "{seen}");

    // A pin, with its notice.
    alice.put(&format!("/channels/{channel_id}/pins/{}", text(&asked, "id")?)).await?;
    let [pins, pinned, notice] = company.all_see(["CHANNEL_PINS_UPDATE", "MESSAGE_UPDATE", "MESSAGE_CREATE"]).await?;
    ensure!(pins["last_pin_timestamp"].is_string() && pinned["pinned"] == true, "{pins} {pinned}");
    ensure!(notice["type"] == 6 && notice["message_reference"]["message_id"] == asked["id"], "{notice}");
    let pins = bob.get(&format!("/channels/{channel_id}/pins")).await?;
    ensure!(pins.as_array().map(Vec::len) == Some(1) && pins[0]["id"] == asked["id"], "{pins}");
    alice.delete(&format!("/channels/{channel_id}/pins/{}", text(&asked, "id")?)).await?;
    company.all_see(["CHANNEL_PINS_UPDATE", "MESSAGE_UPDATE"]).await?;
    ensure!(bob.get(&format!("/channels/{channel_id}/pins")).await? == json!([]));

    // Deleted is gone, for the reply too.
    bob.delete(&question).await?;
    let [deleted] = company.all_see(["MESSAGE_DELETE"]).await?;
    ensure!(deleted["id"] == asked["id"] && deleted["channel_id"] == channel_id.as_str(), "{deleted}");
    let orphan = alice.get(&answer).await?;
    ensure!(
        orphan["referenced_message"].is_null() && orphan["message_reference"]["message_id"] == asked["id"],
        "{orphan}"
    );
    Ok(())
}

#[tokio::test]
async fn pages_of_history() -> anyhow::Result<()> {
    let mut company = Company::gather("pages").await?;
    let (alice, rook, path) = (company.alice.clone(), company.rook.clone(), company.messages());
    let mut ids = Vec::new();
    for n in 0..12 {
        let author = if n % 2 == 0 { &alice } else { &rook };
        ids.push(author.say(&company.guild.channel_id, &format!("line {n}")).await?);
    }
    for n in 0..12 {
        let [seen] = company.all_see(["MESSAGE_CREATE"]).await?;
        ensure!(seen["content"] == format!("line {n}"), "{seen}");
    }
    ensure!(ids.windows(2).all(|pair| pair[0].parse::<u64>().ok() < pair[1].parse().ok()), "{ids:?}");
    // Always the newest first.
    let pages = [
        ("?limit=3".to_owned(), vec![11, 10, 9]),
        (format!("?limit=3&before={}", ids[5]), vec![4, 3, 2]),
        (format!("?limit=3&after={}", ids[5]), vec![8, 7, 6]),
        (format!("?limit=5&around={}", ids[5]), vec![7, 6, 5, 4, 3]),
        (format!("?before={}", ids[1]), vec![0]),
        (format!("?after={}", ids[11]), vec![]),
        (format!("?limit=100&after={}", 0), (0..12).rev().collect()),
    ];
    for (query, wanted) in pages {
        let page = alice.get(&format!("{path}{query}")).await?;
        let page: Vec<&str> = page.as_array().context("a page")?.iter().filter_map(|m| m["id"].as_str()).collect();
        let wanted: Vec<&str> = wanted.into_iter().map(|n: usize| ids[n].as_str()).collect();
        ensure!(page == wanted, "{query}: {page:?}, wanted {wanted:?}");
    }
    let body = json!({ "messages": ids[2..9] });
    rook.post(&format!("{path}/bulk-delete"), &body).await?;
    let [deleted] = company.all_see(["MESSAGE_DELETE_BULK"]).await?;
    let mut gone: Vec<&str> = deleted["ids"].as_array().context("ids")?.iter().filter_map(Value::as_str).collect();
    gone.sort_unstable();
    ensure!(gone == ids[2..9], "{deleted}");
    let left = alice.get(&path).await?;
    let left: Vec<&str> = left.as_array().context("a page")?.iter().filter_map(|m| m["id"].as_str()).collect();
    let wanted: Vec<&str> = [11, 10, 9, 1, 0].map(|n: usize| ids[n].as_str()).into();
    ensure!(left == wanted, "{left:?}");
    let answer = rook.ask(Method::POST, &format!("{path}/bulk-delete"), Some(&json!({ "messages": [ids[0]] }))).await?;
    answer.is_error(400, 50016)?;
    ensure!(company.server.log().lines().all(|line| !line.contains("line 3")), "content in the log");
    Ok(())
}

/// What READY says of a channel's read state.
fn read_state<'a>(ready: &'a Value, channel_id: &str) -> Option<&'a Value> {
    ready["read_state"].as_array()?.iter().find(|state| state["id"] == channel_id || state["channel_id"] == channel_id)
}

#[tokio::test]
async fn what_is_read_and_what_waits() -> anyhow::Result<()> {
    let mut company = Company::gather("unread").await?;
    let (alice, bob) = (company.alice.clone(), company.bob.clone());
    let (url, channel_id) = (company.server.gateway()?.to_owned(), company.guild.channel_id.clone());
    bob.say(&channel_id, "not for anybody").await?;
    let mut last = String::new();
    for _ in 0..2 {
        last = bob.say(&channel_id, &format!("<@{}>!", alice.id)).await?;
    }
    company.all_see(["MESSAGE_CREATE"; 3]).await?;
    let mut second = Gateway::start(&url, &alice.token, None).await?;
    second.forget_early();
    let state = read_state(&second.ready, &channel_id).context("a read state")?;
    ensure!(state["mention_count"] == 2, "{state}");
    // Read on one device, all devices know, and nobody else.
    alice.post(&format!("/channels/{channel_id}/messages/{last}/ack"), &json!({ "token": null })).await?;
    let [acked] = second.expect(["MESSAGE_ACK"]).await?;
    ensure!(acked["message_id"] == last.as_str() && acked["channel_id"] == channel_id.as_str(), "{acked}");
    company.see(&[ALICE], ["MESSAGE_ACK"]).await?;
    let third = Gateway::start(&url, &alice.token, None).await?;
    let state = read_state(&third.ready, &channel_id).context("a read state")?;
    ensure!(state["mention_count"] == 0 && state["last_message_id"] == last.as_str(), "{state}");
    let bot = &company.sessions[ROOK].ready;
    ensure!(bot.get("read_state").is_none(), "bots read nothing: {bot}");

    // A change of one's name shows on all of one's own devices.
    alice.patch("/users/@me", &json!({ "global_name": "Alice the First" })).await?;
    let [changed] = second.expect(["USER_UPDATE"]).await?;
    ensure!(changed["global_name"] == "Alice the First" && changed["id"] == alice.id.as_str(), "{changed}");
    // The others saw nothing but what is for them.
    bob.say(&channel_id, "the end").await?;
    for who in [BOB, ROOK] {
        let before = company.sessions[who].until_message("the end").await?;
        ensure!(before.iter().all(|(name, _)| name == "GUILD_MEMBER_UPDATE"), "{before:?}");
    }
    Ok(())
}

#[tokio::test]
async fn direct_messages() -> anyhow::Result<()> {
    let mut company = Company::gather("direct").await?;
    let (alice, bob, rook) = (company.alice.clone(), company.bob.clone(), company.rook.clone());
    let dm = alice.post("/users/@me/channels", &json!({ "recipient_id": bob.id })).await?;
    let dm_id = text(&dm, "id")?.to_owned();
    ensure!(dm["type"] == 1 && dm["recipients"][0]["id"] == bob.id.as_str(), "{dm}");
    // The same from either side, whenever asked.
    ensure!(bob.post("/users/@me/channels", &json!({ "recipient_id": alice.id })).await?["id"] == dm_id.as_str());
    ensure!(alice.post("/users/@me/channels", &json!({ "recipient_id": bob.id })).await?["id"] == dm_id.as_str());
    let opened = company.see(&[ALICE, BOB], ["CHANNEL_CREATE"]).await?;
    ensure!(opened.iter().all(|[channel]| channel["id"] == dm_id.as_str()), "{opened:?}");
    ensure!(opened[1][0]["recipients"][0]["id"] == alice.id.as_str(), "{opened:?}");

    let said = alice.say(&dm_id, "psst").await?;
    let seen = company.see(&[ALICE, BOB], ["MESSAGE_CREATE"]).await?;
    for [message] in &seen {
        ensure!(message["content"] == "psst" && message["channel_id"] == dm_id.as_str(), "{message}");
        ensure!(message.get("guild_id").is_none() && message.get("member").is_none(), "{message}");
    }
    bob.put(&format!("/channels/{dm_id}/messages/{said}/reactions/%F0%9F%A4%AB/@me")).await?;
    bob.post(&format!("/channels/{dm_id}/typing"), &json!({})).await?;
    bob.post(
        &format!("/channels/{dm_id}/messages"),
        &json!({ "content": "yes?", "message_reference": { "message_id": said } }),
    )
    .await?;
    alice.patch(&format!("/channels/{dm_id}/messages/{said}"), &json!({ "content": "PSST" })).await?;
    alice.delete(&format!("/channels/{dm_id}/messages/{said}")).await?;
    let names = ["MESSAGE_REACTION_ADD", "TYPING_START", "MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE"];
    company.see(&[ALICE, BOB], names).await?;
    // Nobody moderates a DM, and nobody else is in it.
    let left = alice.get(&format!("/channels/{dm_id}/messages")).await?;
    let left = text(&left[0], "id")?;
    let answer = alice.ask(Method::DELETE, &format!("/channels/{dm_id}/messages/{left}"), None).await?;
    ensure!(answer.status == 403, "{} {}", answer.status, answer.body);
    let carol = Person::register(company.server.api()?, "direct_carol").await?;
    for path in [format!("/channels/{dm_id}"), format!("/channels/{dm_id}/messages")] {
        let answer = carol.ask(Method::GET, &path, None).await?;
        ensure!(answer.status == 403 || answer.status == 404, "{} {}", answer.status, answer.body);
        let of_bot = rook.ask(Method::GET, &path, None).await?;
        ensure!(of_bot.body == answer.body, "{} {}", of_bot.body, answer.body);
    }
    // A mention of everybody notifies, and READY on a new device lists the DM and what waits in it.
    alice.say(&dm_id, "unread").await?;
    let url = company.server.gateway()?.to_owned();
    let late = Gateway::start(&url, &bob.token, None).await?;
    let listed = late.ready["private_channels"].as_array().context("DMs")?;
    ensure!(listed.iter().any(|channel| channel["id"] == dm_id.as_str()), "{listed:?}");
    ensure!(bob.get("/users/@me/channels").await?[0]["id"] == dm_id.as_str());

    // The bot answers in private.
    let private = rook.post("/users/@me/channels", &json!({ "recipient_id": carol.id })).await?;
    let mut carol_sees = Gateway::start(&url, &carol.token, None).await?;
    rook.say(text(&private, "id")?, "hello, Carol").await?;
    let [message] = match carol_sees.next_event().await? {
        // Listed before she came, or by the message.
        (name, channel) if name == "CHANNEL_CREATE" => {
            ensure!(channel["recipients"][0]["id"] == rook.id.as_str(), "{channel}");
            carol_sees.expect(["MESSAGE_CREATE"]).await?
        }
        (name, data) => {
            ensure!(name == "MESSAGE_CREATE", "{name}");
            [data]
        }
    };
    ensure!(message["content"] == "hello, Carol" && message["author"]["bot"] == true, "{message}");
    // Not with oneself, not with nobody.
    let answer =
        alice.ask(Method::POST, "/users/@me/channels", Some(&json!({ "recipient_id": "175928847299117063" }))).await?;
    answer.is_error(400, 50033)?;
    Ok(())
}

#[tokio::test]
async fn a_group_of_friends() -> anyhow::Result<()> {
    let server = SERVER.get().await?;
    let mut friends = Vec::new();
    for name in ["group_ann", "group_ben", "group_cid"] {
        friends.push(Person::register(server.api()?, name).await?);
    }
    let [ann, ben, cid] = &friends[..] else { anyhow::bail!("three") };
    let mut sessions = Vec::new();
    for friend in &friends {
        sessions.push(Gateway::start(server.gateway()?, &friend.token, None).await?);
    }
    let group = ann.post("/users/@me/channels", &json!({ "recipients": [ben.id, cid.id] })).await?;
    ensure!(group["type"] == 3 && group["recipients"].as_array().map(Vec::len) == Some(2), "{group}");
    let id = text(&group, "id")?;
    ben.say(id, "hello, friends").await?;
    for sees in &mut sessions {
        let [channel, message] = sees.expect(["CHANNEL_CREATE", "MESSAGE_CREATE"]).await?;
        ensure!(channel["id"] == id && message["content"] == "hello, friends", "{channel} {message}");
    }
    let stranger = Person::register(server.api()?, "group_dan").await?;
    let answer = stranger.ask(Method::GET, &format!("/channels/{id}/messages"), None).await?;
    ensure!(answer.status == 403 || answer.status == 404, "{} {}", answer.status, answer.body);
    Ok(())
}
