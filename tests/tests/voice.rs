//! Voice with unmodified libraries: bots say tones of known pitch in a channel and tell which they hear of whom.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use rookery_tests::{Guild, Lines, Person, Rookery, bot_in, text};
use serde_json::{Value, json};
use tokio::process::Command;

mod programs;
use programs::{skipped, source, variable};

/// Hertz.
const LOW: u32 = 440;
const HIGH: u32 = 880;
/// What a second of crossings may be wrong by.
const TOLERANCE: f64 = 10.0;
/// CONNECT, SPEAK and what bots need beside.
const PERMISSIONS: u64 = 8;

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

    /// @discordjs/voice as this bot, saying a tone in a channel.
    fn discord_js(&self, bot: &Person, hertz: u32, channel_id: &str) -> anyhow::Result<Singer> {
        let mut command = Command::new(variable("ROOKERY_VOICE_NODE")?);
        command
            .arg(source("voice/voice.js")?)
            .env("NODE_PATH", variable("ROOKERY_VOICE_MODULES")?)
            .env("NODE_EXTRA_CA_CERTS", self.rookery.address("ca_file")?);
        self.sing("@discordjs/voice", command, bot, hertz, channel_id)
    }

    /// discord.py as this bot, likewise; it cannot hear.
    fn discord_py(&self, bot: &Person, hertz: u32, channel_id: &str) -> anyhow::Result<Singer> {
        let mut command = Command::new(variable("ROOKERY_PYTHON")?);
        command.arg(source("voice/voice.py")?).env("SSL_CERT_FILE", self.rookery.address("ca_file")?);
        self.sing("discord.py", command, bot, hertz, channel_id)
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
        let mut py = setting.discord_py(&py, LOW, &setting.lounge)?;
        let state = py.lines.find("that it is in", |line| (line["state"] == "ready").then(|| line.clone())).await?;
        ensure!(state["mode"] == "aead_xchacha20_poly1305_rtpsize", "{state}");
        js.hears(py.tone()).await
    }
    .await;
    setting.explain(result)
}

async fn moderated(setting: &Setting) -> anyhow::Result<()> {
    let (low, high) = (setting.bot("Low").await?, setting.bot("High").await?);
    let mut low = setting.discord_js(&low, LOW, &setting.lounge)?;
    let mut high = setting.discord_js(&high, HIGH, &setting.lounge)?;
    high.hears(low.tone()).await?;
    low.hears(high.tone()).await?;

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
