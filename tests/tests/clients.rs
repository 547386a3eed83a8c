//! Unmodified bot libraries against `rookery dev`, each through the same conversation with a person.
//!
//! The bot logs in, answers a message with an embed and a reaction, edits and deletes its answer, pages through history.
//! Then its gateway connection is cut while people go on talking, and it must RESUME: nothing missed, nothing twice.

use anyhow::{Context as _, ensure};
use rookery_tests::{Gateway, Lines, Person, Proxy, Rookery, program, text};
use serde_json::{Value, json};
use tokio::process::Command;

mod programs;
use programs::{skipped, source, variable};

/// Messages said while the connection is down or coming back.
const SAID_MEANWHILE: usize = 12;

struct Setting {
    rookery: Rookery,
    proxy: Proxy,
    person: Person,
    bot: Person,
    channel_id: String,
    _folder: tempfile::TempDir,
}

impl Setting {
    /// A server, a person who signed up, their guild, their application's bot in it.
    async fn prepare(limits: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (proxy, target) = Proxy::start().await?;
        let public_url = format!("gateway.public_url=ws://{}", proxy.address);
        let args = [&["--set", public_url.as_str()], limits].concat();
        let rookery = Rookery::start(&folder.path().join("data"), &args).await?;
        target.send_replace(Some(rookery.address("gateway")?.trim_start_matches("ws://").parse()?));

        let api = rookery.api()?;
        let person = Person::register(api, "alice").await?;
        let guild = person.post("/guilds", &json!({ "name": "Aviary" })).await?;
        let guild_id = guild["id"].as_str().context("a guild has an id")?;
        let channels = person.get(&format!("/guilds/{guild_id}/channels")).await?;
        let text = channels.as_array().and_then(|all| all.iter().find(|channel| channel["type"] == 0));
        let channel_id = text.and_then(|channel| channel["id"].as_str()).context("a text channel")?.to_owned();

        let application = person.post("/applications", &json!({ "name": "Parrot" })).await?;
        let application_id = application["id"].as_str().context("an application has an id")?;
        let made = person.post(&format!("/applications/{application_id}/bot"), &json!({})).await?;
        let token = made["token"].as_str().context("a bot has a token")?;
        let authorize = format!("/oauth2/authorize?client_id={application_id}&scope=bot&permissions=8");
        person.post(&authorize, &json!({ "guild_id": guild_id, "authorize": true })).await?;
        let bot = Person::bot(api, application_id, token);
        Ok(Self { rookery, proxy, person, bot, channel_id, _folder: folder })
    }

    fn equip(&self, command: &mut Command) -> anyhow::Result<()> {
        command
            .env("ROOKERY_API", self.rookery.api()?)
            .env("ROOKERY_GATEWAY", format!("ws://{}", self.proxy.address))
            .env("ROOKERY_TOKEN", &self.bot.token);
        Ok(())
    }

    /// The guild's id and that of its voice channel.
    async fn voice_channel(&self) -> anyhow::Result<(String, String)> {
        let channel = self.person.get(&format!("/channels/{}", self.channel_id)).await?;
        let guild_id = text(&channel, "guild_id")?;
        let channels = self.person.get(&format!("/guilds/{guild_id}/channels")).await?;
        let voice = channels.as_array().and_then(|all| all.iter().find(|channel| channel["type"] == 2));
        Ok((guild_id.to_owned(), text(voice.context("a voice channel")?, "id")?.to_owned()))
    }

    async fn message(&self, id: &str) -> anyhow::Result<Value> {
        self.person.get(&format!("/channels/{}/messages/{id}", self.channel_id)).await
    }
}

/// The conversation.
async fn converse(name: &str, mut command: Command) -> anyhow::Result<()> {
    let setting = Setting::prepare(&["--set", "limits=off"]).await?;
    setting.equip(&mut command)?;
    let mut bot = Lines::start(name, command)?;
    let result = talk(&setting, &mut bot).await;
    result.with_context(|| format!("{name}; the server's log:\n{}", setting.rookery.log()))
}

async fn talk(setting: &Setting, bot: &mut Lines) -> anyhow::Result<()> {
    let Setting { person, channel_id, .. } = setting;
    let ready = bot.wait_for("ready").await?;
    ensure!(ready["user"] == setting.bot.id.as_str(), "{ready}");
    ensure!(ready["guilds"] == 1, "{ready}");

    let asked = person.say(channel_id, "ping").await?;
    let reply_id = bot.done("ping").await?["id"].as_str().context("an id")?.to_owned();
    let reply = setting.message(&reply_id).await?;
    ensure!(reply["embeds"][0]["title"] == "pong", "{reply}");
    ensure!(reply["embeds"][0]["description"] == "to alice", "{reply}");
    ensure!(reply["referenced_message"]["id"] == asked.as_str(), "{reply}");
    let asked = setting.message(&asked).await?;
    ensure!(asked["reactions"][0]["emoji"]["name"] == "✅" && asked["reactions"][0]["count"] == 1, "{asked}");

    person.say(channel_id, "edit").await?;
    bot.done("edit").await?;
    let edited = setting.message(&reply_id).await?;
    ensure!(edited["content"] == "edited" && edited["edited_timestamp"].is_string(), "{edited}");

    person.say(channel_id, "delete").await?;
    bot.done("delete").await?;
    let (status, error) =
        setting.person.send(reqwest::Method::GET, &format!("/channels/{channel_id}/messages/{reply_id}"), None).await?;
    ensure!(status == 404 && error["code"] == 10008, "{status} {error}");

    for n in 0..9 {
        person.say(channel_id, &format!("filler {n}")).await?;
    }
    person.say(channel_id, "history").await?;
    let paged = bot.done("history").await?;
    let wanted = person.get(&format!("/channels/{channel_id}/messages?limit=100")).await?;
    let wanted: Vec<&Value> = wanted.as_array().context("a list")?.iter().map(|message| &message["id"]).collect();
    let paged: Vec<&Value> = paged["ids"].as_array().context("a list")?.iter().collect();
    ensure!(paged == wanted && paged.len() >= 13, "paged {paged:?}, stored {wanted:?}");

    survive_cuts(setting, bot).await
}

/// Cuts the gateway connection twice while messages come, and counts what the bot saw.
async fn survive_cuts(setting: &Setting, bot: &mut Lines) -> anyhow::Result<()> {
    let mut said = Vec::new();
    for round in 0..2 {
        for n in 0..SAID_MEANWHILE {
            if n == SAID_MEANWHILE / 3 {
                setting.proxy.cut();
            }
            said.push(setting.person.say(&setting.channel_id, &format!("round {round} message {n}")).await?);
        }
        bot.wait_for("resumed").await?;
    }
    // The last message stands behind all others in the stream: once it is seen, what is missing is lost.
    said.push(setting.person.say(&setting.channel_id, "last").await?);
    bot.find("the last message", |line| (line["content"] == "last").then_some(())).await?;
    let mut seen: Vec<&str> = bot
        .passed()
        .filter(|line| line["content"].as_str().is_some_and(|content| content.starts_with("round ")))
        .filter_map(|line| line["message"].as_str())
        .collect();
    said.pop();
    ensure!(seen.len() == said.len(), "{} messages said, {} seen: {seen:?}", said.len(), seen.len());
    ensure!(seen == said, "out of order or twice: said {said:?}, seen {seen:?}");
    seen.dedup();
    ensure!(seen.len() == said.len());
    ensure!(bot.passed().all(|line| line["ready"] != true), "the bot began a new session instead of resuming");
    Ok(())
}

#[tokio::test]
async fn discord_js() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut command = Command::new(variable("ROOKERY_NODE")?);
    command.arg(source("node/bot.js")?).env("NODE_PATH", variable("ROOKERY_NODE_MODULES")?);
    converse("discord.js", command).await
}

fn python_bot() -> anyhow::Result<Command> {
    let mut command = Command::new(variable("ROOKERY_PYTHON")?);
    command.arg(source("python/bot.py")?);
    Ok(command)
}

#[tokio::test]
async fn discord_py() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    converse("discord.py", python_bot()?).await
}

/// The library raises on a 429 that does not look like the API's own; on one that does it waits and sends again.
#[tokio::test]
async fn discord_py_waits_out_a_rate_limit() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let setting = Setting::prepare(&[]).await?;
    let mut command = python_bot()?;
    setting.equip(&mut command)?;
    let mut bot = Lines::start("discord.py", command)?;
    let result = async {
        bot.wait_for("ready").await?;
        setting.person.say(&setting.channel_id, "limit").await?;
        let done = bot.done("limit").await?;
        ensure!(done["limited"].as_u64().is_some_and(|times| times > 0), "{done}");
        let sent = setting.message(done["id"].as_str().context("an id")?).await?;
        ensure!(sent["content"] == "after the limit", "{sent}");
        anyhow::Ok(())
    };
    result.await.with_context(|| format!("the server's log:\n{}", setting.rookery.log()))
}

/// The library sets the status; it has no event for it, so a plain client sees and reads it.
#[tokio::test]
async fn discord_py_sets_the_status_of_a_voice_channel() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let setting = Setting::prepare(&["--set", "limits=off"]).await?;
    let mut command = python_bot()?;
    setting.equip(&mut command)?;
    let mut bot = Lines::start("discord.py", command)?;
    let Setting { person, channel_id, .. } = &setting;
    let result = async {
        let (guild_id, voice) = setting.voice_channel().await?;
        let mut gateway = Gateway::start(setting.rookery.gateway()?, &person.token, None).await?;
        let read = json!({ "op": 43, "d": { "guild_id": guild_id, "fields": ["status"] } });
        bot.wait_for("ready").await?;
        for (said, status) in [("status Owls and rooks", json!("Owls and rooks")), ("status", Value::Null)] {
            person.say(channel_id, said).await?;
            bot.done("status").await?;
            let update = gateway.event("VOICE_CHANNEL_STATUS_UPDATE").await?;
            ensure!(update == json!({ "id": voice, "guild_id": guild_id, "status": status }), "{update}");
            gateway.send(&read).await?;
            let info = gateway.event("CHANNEL_INFO").await?;
            let wanted = json!({ "guild_id": guild_id, "channels": [{ "id": voice, "status": status }] });
            ensure!(info == wanted, "{info}");
        }
        anyhow::Ok(())
    };
    result.await.with_context(|| format!("the server's log:\n{}", setting.rookery.log()))
}

#[tokio::test]
async fn twilight() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    converse("twilight", program("twilight_bot")?).await
}

#[tokio::test]
async fn serenity() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    converse("serenity", program("serenity_bot")?).await
}

#[tokio::test]
async fn serenity_hears_of_the_status_of_a_voice_channel() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let setting = Setting::prepare(&["--set", "limits=off"]).await?;
    let mut command = program("serenity_bot")?;
    setting.equip(&mut command)?;
    let mut bot = Lines::start("serenity", command)?;
    let result = async {
        let (guild_id, voice) = setting.voice_channel().await?;
        bot.wait_for("ready").await?;
        for status in [json!("Owls and rooks"), Value::Null] {
            let set = format!("/channels/{voice}/voice-status");
            setting.person.put_with(&set, &json!({ "status": status })).await?;
            let heard = bot.find("the status", |line| line.get("status").map(|_| line.clone())).await?;
            ensure!(heard == json!({ "status": status, "channel": voice, "guild": guild_id }), "{heard}");
        }
        anyhow::Ok(())
    };
    result.await.with_context(|| format!("the server's log:\n{}", setting.rookery.log()))
}
