//! Calls in DMs and group DMs: as people's clients see them over the main gateway, and as they are heard.

use std::path::Path;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use rookery_tests::{Gateway, Lines, Person, Rookery, VoiceClient, VoicePlace, text};
use serde_json::{Value, json};
use tokio::process::Command;

mod programs;
use programs::{skipped, source, variable};

/// Hertz.
const LOW: u32 = 440;
const HIGH: u32 = 880;
/// What a second of crossings may be wrong by.
const TOLERANCE: f64 = 10.0;
/// Of messages: a call.
const CALL: u64 = 3;
/// Opcodes of the main gateway.
const STREAM_CREATE: u8 = 18;
const STREAM_WATCH: u8 = 20;
const STREAM_PING: u8 = 21;
const STREAM_SET_PAUSED: u8 = 22;
/// The voice gateway's close code for whoever is put out.
const DISCONNECTED: u16 = 4014;
/// API error codes.
const UNKNOWN_VOICE_STATE: u64 = 10_065;
const MISSING_ACCESS: u64 = 50_001;
const WRONG_CHANNEL_TYPE: u64 = 50_024;
const INVALID_RECIPIENT: u64 = 50_033;

/// A server with people.
struct Setting {
    rookery: Rookery,
    people: Vec<Person>,
    folder: tempfile::TempDir,
}

impl Setting {
    async fn prepare(names: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let rookery = Rookery::start(&folder.path().join("data"), &["--set", "limits=off"]).await?;
        let mut people = Vec::new();
        for name in names {
            people.push(Person::register(rookery.api()?, name).await?);
        }
        Ok(Self { rookery, people, folder })
    }

    /// The first person's DM with these others: with one of them, or a group.
    async fn dm(&self, others: &[&Person]) -> anyhow::Result<String> {
        let ids: Vec<&str> = others.iter().map(|person| person.id.as_str()).collect();
        let body = match ids[..] {
            [id] => json!({ "recipient_id": id }),
            _ => json!({ "recipients": ids }),
        };
        let dm = self.people[0].post("/users/@me/channels", &body).await?;
        Ok(text(&dm, "id")?.to_owned())
    }

    async fn session(&self, person: &Person) -> anyhow::Result<Gateway> {
        Gateway::start(self.rookery.gateway()?, &person.token, None).await
    }

    /// Adds the server's log to what went wrong.
    fn explain<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        result.with_context(|| format!("the server's log:\n{}", self.rookery.log()))
    }
}

/// Joins the call of a DM, or with none leaves.
async fn join(session: &mut Gateway, channel_id: Option<&str>) -> anyhow::Result<()> {
    let d = json!({ "guild_id": null, "channel_id": channel_id, "self_mute": false, "self_deaf": false });
    session.send(&json!({ "op": 4, "d": d })).await
}

/// What is asked with CALL_CONNECT.
async fn connect(session: &mut Gateway, channel_id: &str) -> anyhow::Result<()> {
    session.send(&json!({ "op": 13, "d": { "channel_id": channel_id } })).await
}

/// Waits until somebody is in the call, or out of it.
async fn hears(session: &mut Gateway, who: &Person, channel_id: Option<&str>) -> anyhow::Result<()> {
    let state = session.event("VOICE_STATE_UPDATE").await?;
    ensure!(state["user_id"] == who.id.as_str() && state["channel_id"] == json!(channel_id), "{state}");
    ensure!(state["guild_id"].is_null() && state.get("member").is_none(), "{state}");
    Ok(())
}

async fn refuses(person: &Person, method: Method, path: &str, body: Value, code: u64) -> anyhow::Result<()> {
    let answer = person.ask(method, path, Some(&body)).await?;
    ensure!(answer.body["code"] == code, "{path}: {} {}", answer.status, answer.body);
    Ok(())
}

/// The newest message, which tells of a call.
async fn newest_call(person: &Person, channel_id: &str) -> anyhow::Result<Value> {
    let messages = person.get(&format!("/channels/{channel_id}/messages?limit=1")).await?;
    ensure!(messages[0]["type"] == CALL, "{messages}");
    Ok(messages[0].clone())
}

#[tokio::test]
async fn a_call_is_rung_and_answered_and_ends() -> anyhow::Result<()> {
    let setting = Setting::prepare(&["alice", "bob", "carol"]).await?;
    let result = rung(&setting).await;
    setting.explain(result)
}

async fn rung(setting: &Setting) -> anyhow::Result<()> {
    let [alice, bob, carol] = &setting.people[..] else { anyhow::bail!("three people") };
    let dm = setting.dm(&[bob]).await?;
    let call = format!("/channels/{dm}/call");
    let ring = format!("{call}/ring");
    ensure!(alice.get(&call).await? == json!({ "ringable": true }));
    refuses(alice, Method::POST, &ring, json!({ "recipients": null }), UNKNOWN_VOICE_STATE).await?;

    let (mut one, mut other) = (setting.session(alice).await?, setting.session(bob).await?);
    let mut stranger = setting.session(carol).await?;
    join(&mut one, Some(&dm)).await?;
    let message = other.event("MESSAGE_CREATE").await?;
    ensure!(message["type"] == CALL && message["author"]["id"] == alice.id.as_str(), "{message}");
    ensure!(message["mentions"][0]["id"] == bob.id.as_str(), "{message}");
    ensure!(message["call"] == json!({ "participants": [alice.id], "ended_timestamp": null }), "{message}");
    for session in [&mut one, &mut other] {
        let created = session.event("CALL_CREATE").await?;
        ensure!(created["channel_id"] == dm.as_str() && created["message_id"] == message["id"], "{created}");
        ensure!(created["ringing"] == json!([]) && created["region"].is_string(), "{created}");
        hears(session, alice, Some(&dm)).await?;
    }
    let server = one.event("VOICE_SERVER_UPDATE").await?;
    ensure!(server.get("guild_id") == Some(&Value::Null) && server["channel_id"] == dm.as_str(), "{server}");
    ensure!(server["endpoint"].is_string() && server["token"].is_string(), "{server}");

    // Nobody else has a part in it.
    refuses(carol, Method::GET, &call, json!({}), MISSING_ACCESS).await?;
    refuses(carol, Method::POST, &ring, json!({}), MISSING_ACCESS).await?;
    refuses(alice, Method::POST, &ring, json!({ "recipients": [carol.id] }), INVALID_RECIPIENT).await?;
    join(&mut stranger, Some(&dm)).await?;
    connect(&mut stranger, &dm).await?;

    // He is rung, declines, is rung again, and a device that starts now learns of it.
    alice.post(&ring, &json!({ "recipients": null })).await?;
    let rung = other.event("CALL_UPDATE").await?;
    ensure!(rung["ringing"] == json!([bob.id]) && rung["message_id"] == message["id"], "{rung}");
    bob.post(&format!("{call}/stop-ringing"), &json!({})).await?;
    ensure!(other.event("CALL_UPDATE").await?["ringing"] == json!([]));
    alice.post(&ring, &json!({ "recipients": [bob.id] })).await?;
    ensure!(other.event("CALL_UPDATE").await?["ringing"] == json!([bob.id]));
    let mut late = setting.session(bob).await?;
    connect(&mut late, &dm).await?;
    let known = late.event("CALL_CREATE").await?;
    ensure!(known["ringing"] == json!([bob.id]) && known["message_id"] == message["id"], "{known}");
    ensure!(known["voice_states"][0]["user_id"] == alice.id.as_str(), "{known}");
    ensure!(known["voice_states"].as_array().map(Vec::len) == Some(1), "{known}");

    // He comes.
    other.forget_early();
    join(&mut late, Some(&dm)).await?;
    ensure!(late.event("CALL_UPDATE").await?["ringing"] == json!([]));
    hears(&mut late, bob, Some(&dm)).await?;
    hears(&mut one, bob, Some(&dm)).await?;
    ensure!(late.event("VOICE_SERVER_UPDATE").await?["channel_id"] == dm.as_str());
    let joined = one.event("MESSAGE_UPDATE").await?;
    ensure!(joined["call"]["participants"] == json!([alice.id, bob.id]), "{joined}");
    let stored = newest_call(alice, &dm).await?;
    ensure!(stored["call"] == json!({ "participants": [alice.id, bob.id], "ended_timestamp": null }), "{stored}");

    // She hangs up; he is out as his session ends, and the call with him.
    join(&mut one, None).await?;
    hears(&mut other, bob, Some(&dm)).await?;
    hears(&mut other, alice, None).await?;
    other.forget_early();
    late.send_raw(tokio_tungstenite::tungstenite::Message::Close(Some(normal()))).await?;
    hears(&mut other, bob, None).await?;
    ensure!(other.event("CALL_DELETE").await? == json!({ "channel_id": dm }));
    let ended = other.event("MESSAGE_UPDATE").await?;
    ensure!(ended["id"] == message["id"] && ended["call"]["ended_timestamp"].is_string(), "{ended}");
    ensure!(newest_call(bob, &dm).await?["call"] == ended["call"]);
    refuses(alice, Method::PATCH, &call, json!({ "region": null }), UNKNOWN_VOICE_STATE).await?;

    // The stranger heard nothing of all that.
    let theirs = carol.post("/users/@me/channels", &json!({ "recipient_id": alice.id })).await?;
    alice.say(text(&theirs, "id")?, "hello").await?;
    let before = stranger.until_message("hello").await?;
    ensure!(before.iter().all(|(name, _)| name == "CHANNEL_CREATE"), "{before:?}");
    Ok(())
}

fn normal() -> tokio_tungstenite::tungstenite::protocol::CloseFrame {
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
    tokio_tungstenite::tungstenite::protocol::CloseFrame { code: CloseCode::Normal, reason: "".into() }
}

#[tokio::test]
async fn a_group_of_three_calls_and_one_does_not_come() -> anyhow::Result<()> {
    let setting = Setting::prepare(&["alice", "bob", "carol"]).await?;
    let result = async {
        let [alice, bob, carol] = &setting.people[..] else { anyhow::bail!("three people") };
        let dm = setting.dm(&[bob, carol]).await?;
        let call = format!("/channels/{dm}/call");
        let (mut one, mut other) = (setting.session(alice).await?, setting.session(bob).await?);
        let mut third = setting.session(carol).await?;
        join(&mut one, Some(&dm)).await?;
        hears(&mut one, alice, Some(&dm)).await?;
        alice.post(&format!("{call}/ring"), &json!({})).await?;
        let mut both = [bob.id.clone(), carol.id.clone()];
        both.sort_by_key(|id| id.parse::<u64>().unwrap_or_default());
        for session in [&mut other, &mut third] {
            ensure!(session.event("CALL_UPDATE").await?["ringing"] == json!(both));
            hears(session, alice, Some(&dm)).await?;
        }
        join(&mut other, Some(&dm)).await?;
        for session in [&mut one, &mut other, &mut third] {
            hears(session, bob, Some(&dm)).await?;
        }
        // People are in one place at a time: a call of her own takes him out of this one.
        let theirs = bob.post("/users/@me/channels", &json!({ "recipient_id": carol.id })).await?;
        let theirs = text(&theirs, "id")?.to_owned();
        join(&mut other, Some(&theirs)).await?;
        hears(&mut one, bob, None).await?;
        ensure!(third.event("CALL_UPDATE").await?["ringing"] == json!([carol.id]));
        // And a guild has no calls.
        let guild = alice.post("/guilds", &json!({ "name": "Choir" })).await?;
        let channels = alice.get(&format!("/guilds/{}/channels", text(&guild, "id")?)).await?;
        let path = format!("/channels/{}/call", text(&channels[0], "id")?);
        refuses(alice, Method::GET, &path, json!({}), WRONG_CHANNEL_TYPE).await?;
        // Who leaves the group is not in its call any more.
        alice.delete(&format!("/channels/{dm}")).await?;
        hears(&mut one, alice, None).await?;
        let ended = loop {
            let update = third.event("MESSAGE_UPDATE").await?;
            if update["channel_id"] == dm.as_str() && update["call"]["ended_timestamp"].is_string() {
                break update;
            }
        };
        // Who was rung and did not come is not among them.
        ensure!(ended["call"]["participants"] == json!([alice.id, bob.id]), "{ended}");
        Ok(())
    };
    let result = result.await;
    setting.explain(result)
}

/// Says something of a stream.
async fn of_stream(session: &mut Gateway, op: u8, key: &str) -> anyhow::Result<()> {
    session.send(&json!({ "op": op, "d": { "stream_key": key } })).await
}

async fn stream(session: &mut Gateway, channel_id: &str) -> anyhow::Result<()> {
    let d = json!({ "type": "call", "guild_id": null, "channel_id": channel_id, "preferred_region": null });
    session.send(&json!({ "op": STREAM_CREATE, "d": d })).await
}

/// Somebody's voice connection for a stream, whose session is told of it now.
async fn connect_stream(
    setting: &Setting,
    session: &mut Gateway,
    person: &Person,
    voice_session: &str,
    key: &str,
) -> anyhow::Result<VoiceClient> {
    let created = session.event("STREAM_CREATE").await?;
    ensure!(created["stream_key"] == key && created["paused"] == false, "{created}");
    let server = loop {
        let server = session.event("STREAM_SERVER_UPDATE").await?;
        ensure!(server["stream_key"] == key && server["guild_id"].is_null(), "{server}");
        // While there is no node another one of these follows.
        if server["endpoint"].is_string() {
            break server;
        }
    };
    let place = VoicePlace::of_stream(&created, &person.id, voice_session)?;
    let ca_file = setting.rookery.address("ca_file")?;
    VoiceClient::connect(&server, Path::new(ca_file), &place).await
}

/// The name of a person's voice connection, as everybody is told.
async fn voice_session(session: &mut Gateway, who: &Person) -> anyhow::Result<String> {
    loop {
        let state = session.event("VOICE_STATE_UPDATE").await?;
        if state["user_id"] == who.id.as_str() {
            return Ok(text(&state, "session_id")?.to_owned());
        }
    }
}

#[tokio::test]
async fn somebody_shares_a_screen_in_a_call() -> anyhow::Result<()> {
    let setting = Setting::prepare(&["alice", "bob", "carol", "dave"]).await?;
    let result = shared(&setting).await;
    setting.explain(result)
}

async fn shared(setting: &Setting) -> anyhow::Result<()> {
    let [alice, bob, carol, dave] = &setting.people[..] else { anyhow::bail!("four people") };
    let dm = setting.dm(&[bob, carol]).await?;
    let key = format!("call:{dm}:{}", alice.id);
    let (mut one, mut other) = (setting.session(alice).await?, setting.session(bob).await?);
    let (mut third, mut stranger) = (setting.session(carol).await?, setting.session(dave).await?);
    // Before there is a call there is no stream in it.
    stream(&mut one, &dm).await?;
    let refused = one.event("STREAM_DELETE").await?;
    ensure!(refused == json!({ "stream_key": key, "reason": "invalid_channel", "unavailable": false }), "{refused}");

    let mut names = Vec::new();
    for (session, person) in [(&mut one, alice), (&mut other, bob), (&mut third, carol)] {
        join(session, Some(&dm)).await?;
        names.push(voice_session(session, person).await?);
    }
    stream(&mut one, &dm).await?;
    let mut screen = connect_stream(setting, &mut one, alice, &names[0], &key).await?;
    screen.show().await?;
    loop {
        let state = third.event("VOICE_STATE_UPDATE").await?;
        if state["user_id"] == alice.id.as_str() && state["self_stream"] == true {
            break;
        }
    }
    of_stream(&mut other, STREAM_WATCH, &key).await?;
    let mut his = connect_stream(setting, &mut other, bob, &names[1], &key).await?;
    of_stream(&mut third, STREAM_WATCH, &key).await?;
    let mut hers = connect_stream(setting, &mut third, carol, &names[2], &key).await?;
    let mut viewers = [bob.id.clone(), carol.id.clone()];
    viewers.sort_by_key(|id| id.parse::<u64>().unwrap_or_default());
    ensure!(other.event("STREAM_UPDATE").await?["viewer_ids"] == json!(viewers));
    his.sees_from(&mut screen, 1).await?;
    hers.sees_from(&mut screen, 2).await?;

    // Of all that nobody else learns.
    of_stream(&mut stranger, STREAM_WATCH, &key).await?;
    ensure!(stranger.event("STREAM_DELETE").await?["reason"] == "invalid_channel");

    let paused = json!({ "stream_key": key, "paused": true });
    one.send(&json!({ "op": STREAM_SET_PAUSED, "d": paused })).await?;
    ensure!(other.event("STREAM_UPDATE").await?["paused"] == true);
    // One leaves the call, and with it the stream.
    join(&mut third, None).await?;
    ensure!(third.event("STREAM_DELETE").await?["reason"] == "stream_ended");
    ensure!(hers.closed().await? == Some(DISCONNECTED));
    ensure!(other.event("STREAM_UPDATE").await?["viewer_ids"] == json!([bob.id]));
    his.sees_from(&mut screen, 3).await?;
    of_stream(&mut third, STREAM_PING, &key).await?;
    ensure!(third.event("STREAM_DELETE").await?["reason"] == "stream_ended");
    // The streamer hangs up.
    join(&mut one, None).await?;
    let over = other.event("STREAM_DELETE").await?;
    ensure!(over == json!({ "stream_key": key, "reason": "stream_ended", "unavailable": false }), "{over}");
    ensure!(his.closed().await? == Some(DISCONNECTED));
    of_stream(&mut other, STREAM_PING, &key).await?;
    ensure!(other.event("STREAM_DELETE").await?["reason"] == "stream_ended");
    Ok(())
}

#[tokio::test]
async fn a_call_that_a_crash_took_is_over_when_anybody_asks() -> anyhow::Result<()> {
    let setting = Setting::prepare(&["alice", "bob"]).await?;
    let [alice, bob] = &setting.people[..] else { anyhow::bail!("two people") };
    let dm = setting.dm(&[bob]).await?;
    let mut one = setting.session(alice).await?;
    join(&mut one, Some(&dm)).await?;
    one.event("VOICE_SERVER_UPDATE").await?;
    let data_dir = setting.rookery.data_dir().to_owned();
    setting.rookery.kill().await?;
    let rookery = Rookery::start(&data_dir, &["--set", "limits=off"]).await?;
    let result = async {
        let bob = bob.at(rookery.api()?);
        let mut other = Gateway::start(rookery.gateway()?, &bob.token, None).await?;
        connect(&mut other, &dm).await?;
        let ended = other.event("MESSAGE_UPDATE").await?;
        ensure!(ended["call"]["ended_timestamp"].is_string(), "{ended}");
        ensure!(other.event("CALL_DELETE").await? == json!({ "channel_id": dm }));
        ensure!(newest_call(&bob, &dm).await?["call"] == ended["call"]);
        // Another one begins.
        join(&mut other, Some(&dm)).await?;
        let created = other.event("CALL_CREATE").await?;
        ensure!(created["message_id"] != ended["id"], "{created}");
        // And whoever watched in the one before learns that this is over.
        let key = format!("call:{dm}:{}", alice.id);
        of_stream(&mut other, STREAM_PING, &key).await?;
        ensure!(other.event("STREAM_DELETE").await?["reason"] == "stream_ended");
        Ok(())
    };
    let result: anyhow::Result<()> = result.await;
    drop(setting.folder);
    result.with_context(|| format!("the server's log:\n{}", rookery.log()))
}

/// @discordjs/voice as this person in the call of a DM, saying a tone.
fn caller(rookery: &Rookery, person: &Person, dm: &str, hertz: u32) -> anyhow::Result<Lines> {
    let mut command = Command::new(variable("ROOKERY_VOICE_NODE")?);
    command
        .arg(source("voice/call.js")?)
        .env("NODE_PATH", variable("ROOKERY_VOICE_MODULES")?)
        .env("NODE_EXTRA_CA_CERTS", rookery.address("ca_file")?)
        .env("ROOKERY_GATEWAY", rookery.gateway()?)
        .env("ROOKERY_TOKEN", &person.token)
        .env("ROOKERY_CHANNEL", dm)
        .env("ROOKERY_PITCH", hertz.to_string());
    Lines::start_told("@discordjs/voice", command)
}

/// Hears somebody's tone, and at its pitch.
async fn tone(lines: &mut Lines, of: &Person, hertz: u32) -> anyhow::Result<()> {
    let heard = |line: &Value| (line["heard"] == of.id.as_str()).then(|| line.clone());
    let line = lines.find(&format!("that it hears {}", of.id), heard).await?;
    let is_right = line["hertz"].as_f64().is_some_and(|pitch| (pitch - f64::from(hertz)).abs() <= TOLERANCE);
    ensure!(is_right && line["loudness"].as_f64() > Some(1_000.0), "{line}, expected {hertz} Hz");
    Ok(())
}

#[tokio::test]
async fn two_people_hear_each_other() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let setting = Setting::prepare(&["alice", "bob"]).await?;
    let result = async {
        let [alice, bob] = &setting.people[..] else { anyhow::bail!("two people") };
        let dm = setting.dm(&[bob]).await?;
        let mut one = caller(&setting.rookery, alice, &dm, LOW)?;
        one.find("that she is in", |line| (line["state"] == "ready").then_some(())).await?;
        let mut other = caller(&setting.rookery, bob, &dm, HIGH)?;
        tone(&mut one, bob, HIGH).await?;
        tone(&mut other, alice, LOW).await?;
        one.tell(&json!({ "do": "leave" })).await?;
        one.done("leave").await?;
        other.find("that she fell silent", |line| (line["silent"] == alice.id.as_str()).then_some(())).await?;
        other.tell(&json!({ "do": "leave" })).await?;
        let is_over = |line: &Value| line["voice"] == bob.id.as_str() && line["channel"].is_null();
        other.find("that he is out", |line| is_over(line).then_some(())).await?;
        let told = newest_call(alice, &dm).await?;
        ensure!(told["call"]["participants"] == json!([alice.id, bob.id]), "{told}");
        Ok(())
    };
    let result = result.await;
    setting.explain(result)
}
