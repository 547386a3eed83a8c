//! Voice with unmodified libraries: bots say tones of known pitch in a channel and tell which they hear of whom.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use rookery_tests::{Gateway, Guild, Lines, Person, Rookery, VoiceClient, VoicePlace, bot_in, program, text};
use serde_json::{Value, json};
use tokio::process::Command;

mod programs;
use programs::{skipped, source, variable};

/// Hertz.
const LOW: u32 = 440;
const MIDDLE: u32 = 660;
const HIGH: u32 = 880;
/// What a second of crossings may be wrong by.
const TOLERANCE: f64 = 10.0;
/// CONNECT, SPEAK and what bots need beside.
const PERMISSIONS: u64 = 8;

/// What everybody has: to see channels, to come in, to speak and to ask for it.
const NOTHING_MORE: u64 = 0;

/// A server, a guild with two voice channels, and people who rule it.
struct Setting {
    rookery: Rookery,
    owner: Person,
    guild: Guild,
    lounge: String,
    library: String,
    _folder: tempfile::TempDir,
}

impl Setting {
    async fn prepare() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let rookery = Rookery::start(&folder.path().join("data"), &["--set", "limits=off"]).await?;
        let owner = Person::register(rookery.api()?, "alice").await?;
        let guild = Guild::create(&owner, "Choir").await?;
        let mut rooms = Vec::new();
        for name in ["lounge", "library"] {
            let path = format!("/guilds/{}/channels", guild.id);
            let channel = owner.post(&path, &json!({ "name": name, "type": 2 })).await?;
            rooms.push(text(&channel, "id")?.to_owned());
        }
        let [lounge, library] = rooms.try_into().ok().context("two rooms")?;
        Ok(Self { rookery, owner, guild, lounge, library, _folder: folder })
    }

    async fn bot(&self, name: &str) -> anyhow::Result<Person> {
        bot_in(&self.guild, &self.owner, name, PERMISSIONS).await
    }

    /// A bot that is no moderator.
    async fn guest(&self, name: &str) -> anyhow::Result<Person> {
        bot_in(&self.guild, &self.owner, name, NOTHING_MORE).await
    }

    async fn channel(&self, name: &str, kind: u8) -> anyhow::Result<String> {
        let channel = json!({ "name": name, "type": kind });
        let channel = self.owner.post(&format!("/guilds/{}/channels", self.guild.id), &channel).await?;
        Ok(text(&channel, "id")?.to_owned())
    }

    /// @discordjs/voice as this bot, saying a tone in a channel.
    fn discord_js(&self, bot: &Person, hertz: u32, channel_id: &str) -> anyhow::Result<Singer> {
        let mut command = Command::new(variable("ROOKERY_VOICE_NODE")?);
        command
            .arg(source("voice/voice.js")?)
            .env("NODE_PATH", variable("ROOKERY_VOICE_MODULES")?)
            .env("NODE_EXTRA_CA_CERTS", self.rookery.address("ca_file")?);
        self.sing("@discordjs/voice", command, bot, hertz, channel_id)
    }

    /// discord.py as this bot, likewise; by itself it cannot hear.
    fn discord_py(&self, bot: &Person, hertz: u32, channel_id: &str, hears: bool) -> anyhow::Result<Singer> {
        let mut command = Command::new(variable("ROOKERY_PYTHON")?);
        if hears {
            command.env("ROOKERY_HEARS", "1");
        }
        command.arg(source("voice/voice.py")?).env("SSL_CERT_FILE", self.rookery.address("ca_file")?);
        self.sing("discord.py", command, bot, hertz, channel_id)
    }

    /// songbird as this bot, likewise, in an encryption mode of its choice.
    fn songbird(&self, bot: &Person, hertz: u32, mode: &str) -> anyhow::Result<Singer> {
        let mut command = program("songbird_bot")?;
        command.env("SSL_CERT_FILE", self.rookery.address("ca_file")?).env("ROOKERY_MODE", mode);
        self.sing("songbird", command, bot, hertz, &self.lounge)
    }

    fn sing(
        &self,
        name: &str,
        mut command: Command,
        bot: &Person,
        hertz: u32,
        channel_id: &str,
    ) -> anyhow::Result<Singer> {
        command
            .env("ROOKERY_API", self.rookery.api()?)
            .env("ROOKERY_GATEWAY", self.rookery.gateway()?)
            .env("ROOKERY_TOKEN", &bot.token)
            .env("ROOKERY_GUILD", &self.guild.id)
            .env("ROOKERY_CHANNEL", channel_id)
            .env("ROOKERY_PITCH", hertz.to_string());
        Ok(Singer { lines: Lines::start_told(name, command)?, id: bot.id.clone(), hertz })
    }

    async fn modify(&self, bot: &Singer, changes: Value) -> anyhow::Result<()> {
        self.owner.patch(&format!("/guilds/{}/members/{}", self.guild.id, bot.id), &changes).await?;
        Ok(())
    }

    /// What the operator's port says of a room.
    async fn is_counted(&self, figure: &str, channel_id: &str, wanted: f64) -> anyhow::Result<()> {
        let url = format!("{}/metrics/rooms", self.rookery.address("operator")?);
        let text = reqwest::get(url).await?.error_for_status()?.text().await?;
        let guild_id = &self.guild.id;
        let name = format!("rookery_sfu_room_{figure}{{server=\"{guild_id}\",channel=\"{channel_id}\"}} ");
        let value =
            text.lines().find_map(|line| line.strip_prefix(&name)).with_context(|| format!("no {name}\n{text}"))?;
        ensure!(value.parse::<f64>()? == wanted, "{name}is {value}");
        Ok(())
    }

    /// Adds the server's log to what went wrong.
    fn explain<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        result.with_context(|| format!("the server's log:\n{}", self.rookery.log()))
    }
}

/// A bot that says a tone.
struct Singer {
    lines: Lines,
    id: String,
    hertz: u32,
}

impl Singer {
    /// Hears another one's tone, and at its pitch.
    async fn hears(&mut self, other: (&str, u32)) -> anyhow::Result<()> {
        let (id, hertz) = other;
        let what = format!("that it hears {id}");
        let heard = |line: &Value| (line["heard"] == id).then(|| (line["hertz"].as_f64(), line.clone()));
        let (pitch, line) = self.lines.find(&what, heard).await?;
        let is_right = pitch.is_some_and(|pitch| (pitch - f64::from(hertz)).abs() <= TOLERANCE);
        ensure!(is_right && line["loudness"].as_f64() > Some(1_000.0), "{line}, expected {hertz} Hz");
        Ok(())
    }

    /// Hears another one no more.
    async fn misses(&mut self, id: &str) -> anyhow::Result<()> {
        self.lines.find("that somebody fell silent", |line| (line["silent"] == id).then_some(())).await
    }

    /// Its connection is there: what it says from now on is on its way to others.
    async fn is_in(&mut self) -> anyhow::Result<()> {
        self.lines.find("that it is in", |line| (line["state"] == "ready").then_some(())).await
    }

    /// Does something that it is allowed to.
    async fn does(&mut self, told: Value) -> anyhow::Result<()> {
        self.lines.tell(&told).await?;
        let answer = self.answer(&told).await?;
        ensure!(answer["done"] == told["do"], "{answer}");
        Ok(())
    }

    /// Tries something, and is refused with this code.
    async fn may_not(&mut self, told: Value, code: u32) -> anyhow::Result<()> {
        self.lines.tell(&told).await?;
        let answer = self.answer(&told).await?;
        ensure!(answer["refused"] == told["do"] && answer["code"] == code, "{answer}");
        Ok(())
    }

    async fn answer(&mut self, told: &Value) -> anyhow::Result<Value> {
        let is_answer = |line: &Value| [&line["done"], &line["refused"]].contains(&&told["do"]);
        self.lines.find("what came of it", |line| is_answer(line).then(|| line.clone())).await
    }

    /// Sees the voice state of another one: of the audience or not, and asking to speak or not.
    async fn sees(&mut self, id: &str, suppress: bool, asks: bool) -> anyhow::Result<()> {
        let is_this = |line: &Value| line["voice"] == id && line["suppress"] == suppress && line["asks"] == asks;
        let what = format!("that {id} has suppress {suppress} and asks {asks}");
        self.lines.find(&what, |line| is_this(line).then_some(())).await
    }

    /// Has heard nothing of another one since it forgot.
    async fn heard_nothing_of(&mut self, id: &str) -> anyhow::Result<()> {
        // Whatever was said before this is read behind it.
        self.does(json!({ "do": "nothing" })).await?;
        let heard = self.lines.passed().find(|line| line["heard"] == id);
        ensure!(heard.is_none(), "{heard:?}");
        Ok(())
    }

    fn tone(&self) -> (&str, u32) {
        (&self.id, self.hertz)
    }

    /// Forgets what it said so far, by looking for something that comes after it.
    fn forget(&mut self) {
        self.lines.forget();
    }
}

#[tokio::test]
async fn discord_js_bots_hear_each_other_as_moderators_let_them() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let setting = Setting::prepare().await?;
    let result = moderated(&setting).await;
    setting.explain(result)
}

/// discord.py has only one of the two encryption modes, and another version of the voice gateway.
#[tokio::test]
async fn discord_py_is_heard() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let setting = Setting::prepare().await?;
    let result = async {
        let (py, js) = (setting.bot("Snake").await?, setting.bot("Script").await?);
        let mut js = setting.discord_js(&js, HIGH, &setting.lounge)?;
        js.lines.find("that it is in", |line| (line["state"] == "ready").then_some(())).await?;
        let mut py = setting.discord_py(&py, LOW, &setting.lounge, false)?;
        let state = py.lines.find("that it is in", |line| (line["state"] == "ready").then(|| line.clone())).await?;
        ensure!(state["mode"] == "aead_xchacha20_poly1305_rtpsize", "{state}");
        js.hears(py.tone()).await
    }
    .await;
    setting.explain(result)
}

#[tokio::test]
async fn discord_py_hears_by_discord_ext_voice_recv() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let setting = Setting::prepare().await?;
    let result = async {
        let (py, js) = (setting.bot("Snake").await?, setting.bot("Script").await?);
        let mut js = setting.discord_js(&js, HIGH, &setting.lounge)?;
        js.is_in().await?;
        let mut py = setting.discord_py(&py, LOW, &setting.lounge, true)?;
        py.hears(js.tone()).await?;
        js.hears(py.tone()).await
    }
    .await;
    setting.explain(result)
}

/// songbird speaks version 4 of the voice gateway and decodes in either mode; @discordjs/voice speaks version 8.
#[tokio::test]
async fn songbird_and_discord_js_hear_each_other_in_both_modes() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let setting = Setting::prepare().await?;
    let result = choir(&setting).await;
    setting.explain(result)
}

async fn choir(setting: &Setting) -> anyhow::Result<()> {
    let (low, middle, high) = (setting.bot("Low").await?, setting.bot("Middle").await?, setting.bot("High").await?);
    // Each comes after another one was there, and before the next.
    let mut low = setting.songbird(&low, LOW, "aead_aes256_gcm_rtpsize")?;
    low.is_in().await?;
    let mut high = setting.discord_js(&high, HIGH, &setting.lounge)?;
    high.is_in().await?;
    let mut middle = setting.songbird(&middle, MIDDLE, "aead_xchacha20_poly1305_rtpsize")?;
    middle.is_in().await?;
    for other in [middle.tone(), high.tone()] {
        low.hears(other).await?;
    }
    for other in [low.tone(), high.tone()] {
        middle.hears(other).await?;
    }
    for other in [low.tone(), middle.tone()] {
        high.hears(other).await?;
    }
    Ok(())
}

async fn moderated(setting: &Setting) -> anyhow::Result<()> {
    let (low, high) = (setting.bot("Low").await?, setting.bot("High").await?);
    let mut low = setting.discord_js(&low, LOW, &setting.lounge)?;
    let mut high = setting.discord_js(&high, HIGH, &setting.lounge)?;
    high.hears(low.tone()).await?;
    low.hears(high.tone()).await?;
    setting.is_counted("members", &setting.lounge, 2.0).await?;
    setting.is_counted("speakers", &setting.lounge, 2.0).await?;

    // Muted by a moderator, and let speak again.
    high.forget();
    setting.modify(&low, json!({ "mute": true })).await?;
    high.misses(&low.id).await?;
    low.forget();
    low.hears(high.tone()).await?;
    high.forget();
    setting.modify(&low, json!({ "mute": false })).await?;
    high.hears(low.tone()).await?;

    // Deafened: it hears nothing, and is heard.
    low.forget();
    setting.modify(&low, json!({ "deaf": true })).await?;
    low.misses(&high.id).await?;
    high.forget();
    high.hears(low.tone()).await?;
    setting.modify(&low, json!({ "deaf": false })).await?;
    low.hears(high.tone()).await?;

    // Moved to another room: nobody hears it here, and there who comes after it does.
    high.forget();
    setting.modify(&low, json!({ "channel_id": setting.library })).await?;
    high.misses(&low.id).await?;
    high.forget();
    low.forget();
    setting.modify(&high, json!({ "channel_id": setting.library })).await?;
    high.hears(low.tone()).await?;
    low.hears(high.tone()).await?;

    // Put out.
    high.forget();
    setting.modify(&low, json!({ "channel_id": null })).await?;
    low.lines.find("a close", |line| (line["closed"] == 4014).then_some(())).await?;
    high.misses(&low.id).await?;
    let seen: HashMap<String, Value> = high
        .lines
        .passed()
        .filter_map(|line| Some((line["voice"].as_str()?.to_owned(), line["channel"].clone())))
        .collect();
    ensure!(seen.get(&low.id).is_none_or(Value::is_null), "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn a_stage_hears_its_speakers_and_not_its_audience() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let setting = Setting::prepare().await?;
    let result = stage(&setting).await;
    setting.explain(result)
}

async fn stage(setting: &Setting) -> anyhow::Result<()> {
    let stage = setting.channel("stage", 13).await?;
    let (host, guest) = (setting.bot("Host").await?, setting.guest("Guest").await?);
    let mut host = setting.discord_js(&host, LOW, &stage)?;
    let mut guest = setting.discord_js(&guest, HIGH, &stage)?;
    host.is_in().await?;
    guest.is_in().await?;
    host.does(json!({ "do": "begin", "channel": stage, "topic": "Owls" })).await?;
    let is_live = |line: &Value| (line["stage"] == "live" && line["topic"] == "Owls").then_some(());
    guest.lines.find("that the stage is live", is_live).await?;

    // Both came as audience. The host goes onto the stage; for as long as the guest hears that, the host hears nothing.
    let (host_id, guest_id) = (host.id.clone(), guest.id.clone());
    host.forget();
    host.does(json!({ "do": "suppress", "user": host_id, "to": false })).await?;
    guest.hears(host.tone()).await?;
    host.heard_nothing_of(&guest_id).await?;
    guest.may_not(json!({ "do": "suppress", "user": guest_id, "to": false }), 50_013).await?;
    guest.may_not(json!({ "do": "end", "channel": stage }), 50_013).await?;

    // To ask is not to be heard.
    guest.does(json!({ "do": "ask to speak", "to": true })).await?;
    host.sees(&guest_id, true, true).await?;
    guest.forget();
    // The first second of what it hears may have begun before it asked.
    guest.hears(host.tone()).await?;
    guest.hears(host.tone()).await?;
    host.heard_nothing_of(&guest_id).await?;

    // Made a speaker, and sent back.
    host.does(json!({ "do": "suppress", "user": guest_id, "to": false })).await?;
    host.sees(&guest_id, false, false).await?;
    host.hears(guest.tone()).await?;
    host.forget();
    host.does(json!({ "do": "suppress", "user": guest_id, "to": true })).await?;
    host.misses(&guest_id).await?;
    host.forget();
    guest.forget();
    guest.hears(host.tone()).await?;
    host.heard_nothing_of(&guest_id).await?;

    host.does(json!({ "do": "rename", "channel": stage, "topic": "Rooks" })).await?;
    let renamed = |line: &Value| (line["stage"] == "changed" && line["topic"] == "Rooks").then_some(());
    guest.lines.find("another topic", renamed).await?;
    host.does(json!({ "do": "end", "channel": stage })).await?;
    guest.lines.find("that the stage is over", |line| (line["stage"] == "over").then_some(())).await
}

/// Who comes to a full channel is not let in, and is when there is room.
#[tokio::test]
async fn a_full_channel_takes_nobody() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let setting = Setting::prepare().await?;
    let result = full(&setting).await;
    setting.explain(result)
}

async fn full(setting: &Setting) -> anyhow::Result<()> {
    let limit = async |limit: u32| {
        setting.owner.patch(&format!("/channels/{}", setting.lounge), &json!({ "user_limit": limit })).await
    };
    limit(1).await?;
    let (first, second) = (setting.guest("First").await?, setting.guest("Second").await?);
    let mut first = setting.discord_js(&first, LOW, &setting.lounge)?;
    first.is_in().await?;
    let mut second = setting.discord_js(&second, HIGH, &setting.lounge)?;
    second.lines.wait_for("ready").await?;
    // It asked for the full channel first. Where the first one sees it, it was let in.
    second.does(json!({ "do": "join", "channel": setting.library })).await?;
    second.is_in().await?;
    let elsewhere = |line: &Value| (line["voice"] == second.id.as_str()).then(|| line["channel"].clone());
    let seen = first.lines.find("where the second one is", elsewhere).await?;
    ensure!(seen == setting.library.as_str(), "let into a full channel: {seen}");
    limit(2).await?;
    second.does(json!({ "do": "join", "channel": setting.lounge })).await?;
    first.hears(second.tone()).await
}

/// Somebody in the lounge, with the session that took them there.
async fn come(setting: &Setting, person: &Person) -> anyhow::Result<(Gateway, VoiceClient)> {
    let mut session = Gateway::start(setting.rookery.gateway()?, &person.token, None).await?;
    let (guild_id, channel_id) = (&setting.guild.id, &setting.lounge);
    session.send(&json!({ "op": 4, "d": { "guild_id": guild_id, "channel_id": channel_id } })).await?;
    let state = loop {
        let state = session.event("VOICE_STATE_UPDATE").await?;
        if state["user_id"] == person.id.as_str() {
            break state;
        }
    };
    let server = loop {
        let server = session.event("VOICE_SERVER_UPDATE").await?;
        // While there is no node another one of these follows.
        if server["endpoint"].is_string() {
            break server;
        }
    };
    let place = VoicePlace {
        server_id: guild_id.clone(),
        channel_id: channel_id.clone(),
        user_id: person.id.clone(),
        session_id: text(&state, "session_id")?.to_owned(),
    };
    let ca_file = setting.rookery.address("ca_file")?;
    Ok((session, VoiceClient::connect(&server, Path::new(ca_file), &place).await?))
}

#[tokio::test]
async fn only_who_may_is_a_priority_speaker() -> anyhow::Result<()> {
    const MICROPHONE: u32 = 1;
    const PRIORITY: u32 = 1 << 2;
    const PRIORITY_SPEAKER: u64 = 1 << 8;
    let setting = Setting::prepare().await?;
    let api = setting.rookery.api()?;
    let [bob, carol, dave] = ["bob", "carol", "dave"].map(|name| Person::register(api, name));
    let (bob, carol, dave) = (bob.await?, carol.await?, dave.await?);
    for person in [&bob, &carol, &dave] {
        setting.guild.welcome(&setting.owner, person).await?;
    }
    let guild = format!("/guilds/{}", setting.guild.id);
    let role = json!({ "name": "herald", "permissions": PRIORITY_SPEAKER.to_string() });
    let role = setting.owner.post(&format!("{guild}/roles"), &role).await?;
    let roles = json!({ "roles": [text(&role, "id")?] });
    setting.owner.patch(&format!("{guild}/members/{}", dave.id), &roles).await?;
    let (_session_of_bob, mut ears) = come(&setting, &bob).await?;
    // It is not among what everybody has; an owner has everything.
    let may = MICROPHONE | PRIORITY;
    for (speaker, told) in [(&carol, MICROPHONE), (&dave, may), (&setting.owner, may)] {
        let (_session, mut voice) = come(&setting, speaker).await?;
        voice.speak(MICROPHONE | PRIORITY).await?;
        ensure!(ears.hears_speak(&speaker.id).await? == u64::from(told), "{}", speaker.id);
    }
    Ok(())
}
