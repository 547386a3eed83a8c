//! Chromium in a room with others: pages speak the voice gateway themselves, over WebRTC, and bots with unmodified
//! libraries are there over UDP.

use anyhow::{Context as _, ensure};
use rookery_tests::{Guild, Lines, Person, Rookery, bot_in, text};
use serde_json::{Value, json};
use tokio::process::Command;

mod programs;
use programs::{skipped, source, variable};

/// Hertz.
const LOW: u32 = 440;
const MIDDLE: u32 = 660;
const HIGH: u32 = 880;
/// What a pitch may be wrong by.
const TOLERANCE: f64 = 10.0;
/// Softer than this, in decibels below full scale, is no tone.
const SOFT: f64 = -70.0;
/// Frames that a page is to have decoded of another.
const FRAMES: u64 = 30;
/// ADMINISTRATOR.
const PERMISSIONS: u64 = 8;

/// One browser at a time: several at once take each other's time, and sound and pictures are of the moment.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A server, a guild with a voice channel, and a browser.
struct Stage {
    _turn: tokio::sync::MutexGuard<'static, ()>,
    rookery: Rookery,
    owner: Person,
    guild: Guild,
    lounge: String,
    browser: Lines,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn prepare(extra: &[&str]) -> anyhow::Result<Self> {
        let turn = TURN.lock().await;
        let folder = tempfile::tempdir()?;
        let settings = [&["--set", "limits=off"], extra].concat();
        let rookery = Rookery::start(&folder.path().join("data"), &settings).await?;
        let owner = Person::register(rookery.api()?, "alice").await?;
        let guild = Guild::create(&owner, "Choir").await?;
        let path = format!("/guilds/{}/channels", guild.id);
        let channel = owner.post(&path, &json!({ "name": "lounge", "type": 2 })).await?;
        let lounge = text(&channel, "id")?.to_owned();
        let mut browser = browser()?;
        browser.wait_for("ready").await?;
        Ok(Self { _turn: turn, rookery, owner, guild, lounge, browser, _folder: folder })
    }

    /// @discordjs/voice, saying a tone.
    async fn bot(&self, name: &str, hertz: u32) -> anyhow::Result<(Lines, String)> {
        let bot = bot_in(&self.guild, &self.owner, name, PERMISSIONS).await?;
        let mut command = Command::new(variable("ROOKERY_VOICE_NODE")?);
        command
            .arg(source("voice/voice.js")?)
            .env("NODE_PATH", variable("ROOKERY_VOICE_MODULES")?)
            .env("NODE_EXTRA_CA_CERTS", self.rookery.address("ca_file")?)
            .env("ROOKERY_API", self.rookery.api()?)
            .env("ROOKERY_GATEWAY", self.rookery.gateway()?)
            .env("ROOKERY_TOKEN", &bot.token)
            .env("ROOKERY_GUILD", &self.guild.id)
            .env("ROOKERY_CHANNEL", &self.lounge)
            .env("ROOKERY_PITCH", hertz.to_string());
        Ok((Lines::start_told("@discordjs/voice", command)?, bot.id))
    }

    /// A page of somebody's, saying a tone; what else it does is in `options`.
    async fn page(&mut self, name: &str, hertz: u32, options: Value) -> anyhow::Result<String> {
        let person = Person::register(self.rookery.api()?, name).await?;
        self.guild.welcome(&self.owner, &person).await?;
        let Value::Object(mut task) = options else { anyhow::bail!("options are an object") };
        let own = json!({ "do": "join", "page": name, "gateway": self.rookery.gateway()?, "token": person.token,
            "guild": self.guild.id, "channel": self.lounge, "tone": hertz });
        task.extend(own.as_object().cloned().context("an object")?);
        self.browser.tell(&Value::Object(task)).await?;
        let joined = |line: &Value| (line["done"] == "join" && line["page"] == name).then_some(());
        self.browser.find(&format!("that {name} is in"), joined).await?;
        Ok(person.id)
    }

    /// A page hears somebody's tone at its pitch.
    async fn hears(&mut self, page: &str, whom: &str, hertz: u32) -> anyhow::Result<()> {
        let what = format!("that {page} hears {hertz} Hz of {whom}");
        let heard = |line: &Value| {
            let heard = line["heard"].get(whom).filter(|_| line["page"] == page)?;
            is_tone(heard, hertz).then_some(())
        };
        self.browser.find(&what, heard).await
    }

    /// A page has decoded so many frames of somebody.
    async fn sees(&mut self, page: &str, whom: &str, frames: u64) -> anyhow::Result<Value> {
        let what = format!("that {page} sees {frames} frames of {whom}");
        let seen = |line: &Value| {
            let seen = line["frames"].get(whom).filter(|_| line["page"] == page)?;
            (seen.as_u64()? >= frames).then(|| line.clone())
        };
        self.browser.find(&what, seen).await
    }

    /// A page has decoded so many frames of somebody's stream, on the connection that it has for it.
    async fn sees_stream(&mut self, page: &str, whom: &str, frames: u64) -> anyhow::Result<Value> {
        let what = format!("that {page} sees {frames} frames of the stream of {whom}");
        let seen = |line: &Value| {
            let streamed = line["streamed"].get(whom).filter(|_| line["page"] == page)?;
            (streamed["frames"][whom].as_u64()? >= frames).then(|| line.clone())
        };
        self.browser.find(&what, seen).await
    }

    /// What a page is answered that wants to stream, or to watch.
    async fn answered(&mut self, task: Value) -> anyhow::Result<String> {
        self.browser.tell(&task).await?;
        let done = self.browser.done(task["do"].as_str().unwrap_or_default()).await?;
        Ok(text(&done, "answer")?.to_owned())
    }

    async fn ask(&mut self, task: Value) -> anyhow::Result<()> {
        self.browser.tell(&task).await?;
        self.browser.done(task["do"].as_str().unwrap_or_default()).await.map(drop)
    }

    fn explain<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        result.with_context(|| format!("the server's log:\n{}", self.rookery.log()))
    }
}

/// A TURN server on loopback; killed when dropped.
struct Relay {
    _process: tokio::process::Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Relay {
    const SECRET: &str = "north-of-the-wall";

    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new(variable("ROOKERY_TURNSERVER")?)
            .args([
                "-n",
                "--listening-ip=127.0.0.1",
                "--relay-ip=127.0.0.1",
                "--realm=rookery",
                "--no-tls",
                "--no-dtls",
            ])
            .args(["--use-auth-secret", "--allow-loopback-peers", "--cli-password=unused", "--no-cli", "--no-tcp"])
            .args(["--log-file=stdout", "--fingerprint"])
            .arg(format!("--static-auth-secret={}", Self::SECRET))
            .arg(format!("--listening-port={port}"))
            .arg(format!("--pidfile={}", folder.path().join("pid").display()))
            .arg(format!("--userdb={}", folder.path().join("users").display()))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("coturn could not be started")?;
        let relay = Self { _process: process, port, _folder: folder };
        tokio::time::timeout(rookery_tests::PATIENCE, relay.answers()).await.context("coturn does not answer")??;
        Ok(relay)
    }

    /// Waits until it answers a binding request.
    async fn answers(&self) -> anyhow::Result<()> {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(("127.0.0.1", self.port)).await?;
        let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        request.extend([7; 12]);
        let mut answer = [0; 200];
        loop {
            // Refused while nobody listens yet.
            let _ = socket.send(&request).await;
            let waiting = tokio::time::timeout(std::time::Duration::from_millis(100), socket.recv(&mut answer));
            if let Ok(Ok(_)) = waiting.await {
                return Ok(());
            }
        }
    }

    fn settings(&self) -> [String; 2] {
        [
            format!(r#"voice.turn.urls=["turn:127.0.0.1:{}?transport=udp"]"#, self.port),
            format!("voice.turn.secret={}", Self::SECRET),
        ]
    }
}

fn is_tone(heard: &Value, hertz: u32) -> bool {
    let is_right = heard["hertz"].as_f64().is_some_and(|pitch| (pitch - f64::from(hertz)).abs() <= TOLERANCE);
    is_right && heard["decibels"].as_f64() > Some(SOFT)
}

fn browser() -> anyhow::Result<Lines> {
    let mut command = Command::new(variable("ROOKERY_NODE")?);
    let bundle = variable("ROOKERY_WEB_TRANSPORT")?;
    let modules = bundle.ancestors().nth(2).context("the bundle lies in the package's dist")?.join("node_modules");
    command.arg(source("voice/browser.js")?).env("NODE_PATH", modules);
    command.env("ROOKERY_CHROMIUM", variable("ROOKERY_CHROMIUM")?);
    Lines::start_told("Chromium", command)
}

/// A bot hears somebody's tone at its pitch.
async fn bot_hears(bot: &mut Lines, whom: &str, hertz: u32) -> anyhow::Result<()> {
    let heard = |line: &Value| {
        let is_right = line["hertz"].as_f64().is_some_and(|pitch| (pitch - f64::from(hertz)).abs() <= TOLERANCE);
        (line["heard"] == whom && is_right && line["loudness"].as_f64() > Some(1_000.0)).then_some(())
    };
    bot.find(&format!("that it hears {hertz} Hz of {whom}"), heard).await
}

#[tokio::test]
async fn a_page_and_a_bot_hear_each_other() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut stage = Stage::prepare(&[]).await?;
    let result = async {
        let (mut bot, bot_id) = stage.bot("Low", LOW).await?;
        bot.find("that it is in", |line| (line["state"] == "ready").then_some(())).await?;
        // A page that leaves the whole description to the server, with one section for sound.
        let whole_id = stage.page("whole", MIDDLE, json!({ "whole": true })).await?;
        stage.hears("whole", "section 0", LOW).await?;
        bot_hears(&mut bot, &whole_id, MIDDLE).await?;

        // One that makes a section for each whom it is told of.
        let page_id = stage.page("high", HIGH, json!({})).await?;
        stage.hears("high", &bot_id, LOW).await?;
        stage.hears("high", &whole_id, MIDDLE).await?;
        bot_hears(&mut bot, &page_id, HIGH).await?;

        // Its way of media breaks, and it selects its protocol anew.
        stage.ask(json!({ "do": "again", "page": "high" })).await?;
        stage.browser.forget();
        bot.forget();
        stage.hears("high", &bot_id, LOW).await?;
        bot_hears(&mut bot, &page_id, HIGH).await?;
        stage.ask(json!({ "do": "leave", "page": "high" })).await?;
        bot.find("that the page fell silent", |line| (line["silent"] == page_id).then_some(())).await?;

        // Muted by a moderator, and let speak again.
        bot.forget();
        let path = format!("/guilds/{}/members/{whole_id}", stage.guild.id);
        stage.owner.patch(&path, &json!({ "mute": true })).await?;
        bot.find("that the page fell silent", |line| (line["silent"] == whole_id).then_some(())).await?;
        bot.forget();
        stage.owner.patch(&path, &json!({ "mute": false })).await?;
        bot_hears(&mut bot, &whole_id, MIDDLE).await
    }
    .await;
    stage.explain(result)
}

#[tokio::test]
async fn pages_see_a_camera_and_a_screen() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut stage = Stage::prepare(&[]).await?;
    let result = async {
        let camera_id = stage.page("camera", LOW, json!({ "camera": true })).await?;
        let screen_id = stage.page("screen", HIGH, json!({ "screen": true })).await?;
        stage.sees("camera", &screen_id, FRAMES).await?;
        let seen = stage.sees("screen", &camera_id, FRAMES).await?;
        ensure!(seen["sizes"][&camera_id].as_u64() > Some(0), "{seen}");
        stage.hears("screen", &camera_id, LOW).await?;
        stage.hears("camera", &screen_id, HIGH).await?;
        // Of voice and picture a page knows when each was, so that they are played together.
        let clocks = |line: &Value| (line["page"] == "screen" && line["clocks"].as_u64() >= Some(2)).then_some(());
        stage.browser.find("the clocks of both streams", clocks).await?;
        let told = |line: &Value| (line["shows"] == screen_id && line["type"] == "screen").then_some(());
        stage.browser.find("that the screen is told of", told).await?;

        // Who comes later sees both.
        stage.page("late", MIDDLE, json!({})).await?;
        stage.sees("late", &camera_id, FRAMES).await?;
        stage.sees("late", &screen_id, FRAMES).await?;

        // Told when it is hidden.
        stage.ask(json!({ "do": "hide", "page": "screen" })).await?;
        let told = |line: &Value| {
            (line["shows"] == screen_id && line["video"] == false && line["page"] == "late").then_some(())
        };
        stage.browser.find("that the screen is hidden", told).await
    }
    .await;
    stage.explain(result)
}

/// As behind a firewall that lets nothing through but the relay.
#[tokio::test]
async fn a_page_by_a_relay_alone() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let relay = Relay::start().await?;
    let [urls, secret] = relay.settings();
    let mut stage = Stage::prepare(&["--set", &urls, "--set", &secret]).await?;
    let result = async {
        let (mut bot, bot_id) = stage.bot("Low", LOW).await?;
        bot.find("that it is in", |line| (line["state"] == "ready").then_some(())).await?;
        let page_id = stage.page("high", HIGH, json!({ "relay": true, "camera": true })).await?;
        stage.hears("high", &bot_id, LOW).await?;
        bot_hears(&mut bot, &page_id, HIGH).await?;
        let other_id = stage.page("middle", MIDDLE, json!({ "relay": true, "screen": true })).await?;
        let seen = stage.sees("high", &other_id, FRAMES).await?;
        ensure!(seen["candidate"] == "relay", "{seen}");
        stage.sees("middle", &page_id, FRAMES).await.map(drop)
    }
    .await;
    stage.explain(result)
}

/// The browser sends a picture of this size in two of the three layers that it named.
#[tokio::test]
async fn a_picture_in_layers_comes_as_well_as_it_is_wanted() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut stage = Stage::prepare(&[]).await?;
    let result = async {
        let layers_id = stage.page("layers", LOW, json!({ "camera": true, "simulcast": true })).await?;
        stage.page("watcher", HIGH, json!({})).await?;
        stage.sees("watcher", &layers_id, FRAMES).await?;
        for (any, width) in [(100, 320), (25, 160), (100, 320)] {
            stage.ask(json!({ "do": "want", "page": "watcher", "wants": { "any": any } })).await?;
            stage.browser.forget();
            let sized = |line: &Value| {
                (line["page"] == "watcher" && line["sizes"][&layers_id] == width)
                    .then(|| line["frames"][&layers_id].as_u64())
            };
            let at = stage.browser.find(&format!("a picture {width} wide"), sized).await?.unwrap_or_default();
            stage.sees("watcher", &layers_id, at + FRAMES / 2).await?;
        }
        Ok(())
    }
    .await;
    stage.explain(result)
}

/// One packet of media in twenty is lost, on the way of both pages and both ways.
#[tokio::test]
async fn what_is_lost_is_sent_again() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut stage = Stage::prepare(&[]).await?;
    let result = async {
        let camera_id = stage.page("camera", LOW, json!({ "camera": true, "loss": 0.05 })).await?;
        stage.page("watcher", HIGH, json!({ "loss": 0.05 })).await?;
        stage.sees("watcher", &camera_id, 4 * FRAMES).await?;
        stage.hears("watcher", &camera_id, LOW).await?;
        let again = |page: &'static str, list: &'static str, field: &'static str| {
            move |line: &Value| {
                let streams = line[list].as_array().filter(|_| line["page"] == page)?;
                streams.iter().any(|stream| stream[field].as_u64() > Some(10)).then_some(())
            }
        };
        let down = again("watcher", "details", "retransmittedPacketsReceived");
        stage.browser.find("that the server sends again", down).await?;
        let up = again("camera", "sent", "retransmittedPacketsSent");
        stage.browser.find("that the server asks again", up).await
    }
    .await;
    stage.explain(result)
}

#[tokio::test]
async fn pictures_in_other_codecs() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut stage = Stage::prepare(&[]).await?;
    let result = async {
        for (codec, screen, watcher) in [("H264", "screen", "watcher"), ("AV1", "screen1", "watcher1")] {
            let screen_id = stage.page(screen, LOW, json!({ "screen": true, "codec": codec })).await?;
            stage.page(watcher, HIGH, json!({ "codec": codec })).await?;
            stage.sees(watcher, &screen_id, FRAMES).await?;
            for page in [screen, watcher] {
                stage.ask(json!({ "do": "leave", "page": page })).await?;
            }
        }
        Ok(())
    }
    .await;
    stage.explain(result)
}

#[tokio::test]
async fn a_page_streams_beside_its_camera() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut stage = Stage::prepare(&["--set", "streams.viewers_max=1"]).await?;
    let result = async {
        let options = json!({ "camera": true, "streamTone": HIGH });
        let streamer_id = stage.page("streamer", LOW, options).await?;
        let watcher_id = stage.page("watcher", MIDDLE, json!({})).await?;
        stage.page("third", MIDDLE, json!({})).await?;
        let watch = |page: &str| json!({ "do": "watch", "page": page, "user": streamer_id });
        ensure!(stage.answered(watch("watcher")).await? == "stream_ended", "there is none yet");
        let size = json!({ "width": 640, "height": 360, "frameRate": 10 });
        let stream = json!({ "do": "stream", "page": "streamer", "size": size });
        ensure!(stage.answered(stream).await? == "here");
        let streams = |line: &Value| {
            (line["page"] == "third" && line["state_of"] == streamer_id && line["streams"] == true).then_some(())
        };
        stage.browser.find("that everybody in the channel sees that there is a stream", streams).await?;

        // Camera and stream at once, with what each of them sounds like.
        ensure!(stage.answered(watch("watcher")).await? == "here");
        let told = |line: &Value| (line["page"] == "streamer" && line["viewers"] == json!([watcher_id])).then_some(());
        stage.browser.find("that the streamer is told who watches", told).await?;
        let seen = stage.sees_stream("watcher", &streamer_id, FRAMES).await?;
        let more = seen["frames"][&streamer_id].as_u64().unwrap_or_default() + FRAMES;
        stage.sees("watcher", &streamer_id, more).await?;
        stage.hears("watcher", &streamer_id, LOW).await?;
        let heard = |line: &Value| {
            let heard = &line["streamed"][&streamer_id]["heard"][&streamer_id];
            (line["page"] == "watcher" && is_tone(heard, HIGH)).then_some(())
        };
        stage.browser.find("the stream's own sound", heard).await?;

        // As many watch as may, until one of them leaves.
        ensure!(stage.answered(watch("third")).await? == "stream_full");
        stage.ask(json!({ "do": "unstream", "page": "watcher", "user": streamer_id })).await?;
        let free = |line: &Value| (line["page"] == "streamer" && line["viewers"] == json!([])).then_some(());
        stage.browser.find("that the streamer is told who no longer watches", free).await?;
        ensure!(stage.answered(watch("third")).await? == "here");
        stage.sees_stream("third", &streamer_id, FRAMES).await?;

        // It ends with the streamer's connection to the channel.
        stage.ask(json!({ "do": "disconnect", "page": "streamer" })).await?;
        let over = |line: &Value| (line["page"] == "third" && line["over"] == "stream_ended").then_some(());
        stage.browser.find("that the stream is over", over).await?;
        let closed = |line: &Value| {
            let is_other = line["server"].is_string() && line["server"] != json!(stage.guild.id);
            (line["page"] == "third" && line["closed"] == 4014 && is_other).then_some(())
        };
        stage.browser.find("that the connection for it is closed", closed).await
    }
    .await;
    stage.explain(result)
}

/// What a guild without a tier gets is 1,280 wide.
#[tokio::test]
async fn a_stream_is_no_larger_than_the_guild_may_have_it() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut stage = Stage::prepare(&[]).await?;
    let result = async {
        let streamer_id = stage.page("streamer", LOW, json!({})).await?;
        stage.page("watcher", HIGH, json!({})).await?;
        let size = json!({ "width": 1_920, "height": 1_080, "frameRate": 5 });
        let watch = json!({ "do": "watch", "page": "watcher", "user": streamer_id });

        // A client that does not scale its picture down as it is told to is not seen.
        let stubborn = json!({ "do": "stream", "page": "streamer", "size": size, "stubborn": true });
        ensure!(stage.answered(stubborn).await? == "here");
        ensure!(stage.answered(watch.clone()).await? == "here");
        let sent = |line: &Value| {
            let sent = line["streamed"][&streamer_id]["sent"][0]["framesEncoded"].as_u64();
            (line["page"] == "streamer" && sent >= Some(FRAMES)).then_some(())
        };
        stage.browser.find("that the page sends its picture", sent).await?;
        stage.browser.forget();
        let frames = |line: &Value| {
            let streamed = line["streamed"].get(&streamer_id).filter(|_| line["page"] == "watcher")?;
            Some(streamed["frames"].get(&streamer_id).and_then(Value::as_u64).unwrap_or_default())
        };
        let seen = stage.browser.find("what the watcher sees", frames).await?;
        ensure!(seen == 0, "{seen} frames of a picture that is too large");
        stage.ask(json!({ "do": "unstream", "page": "streamer" })).await?;
        let over = |line: &Value| (line["page"] == "watcher" && line["over"] == "user_requested").then_some(());
        stage.browser.find("that the stream is over", over).await?;

        // One that does is.
        let obedient = json!({ "do": "stream", "page": "streamer", "size": size });
        ensure!(stage.answered(obedient).await? == "here");
        ensure!(stage.answered(watch).await? == "here");
        let seen = stage.sees_stream("watcher", &streamer_id, FRAMES).await?;
        let width = seen["streamed"][&streamer_id]["sizes"][&streamer_id].as_u64();
        ensure!(width == Some(1_280), "{seen}");
        Ok(())
    }
    .await;
    stage.explain(result)
}
