//! Two unmodified bots, each at the gateway of a region of its own, in one voice channel.

use std::path::Path;

use anyhow::{Context as _, ensure};
use rookery_lab::{Interrupt, Lab};
use rookery_tests::{Guild, Lines, Person, bot_in, text};
use serde_json::{Value, json};
use tokio::process::Command;

/// Hertz.
const LOW: u32 = 440;
const HIGH: u32 = 880;
const TOLERANCE: f64 = 10.0;
/// A bot's: all that there is.
const ADMINISTRATOR: u64 = 8;

/// A bot that says a tone.
struct Singer {
    lines: Lines,
    id: String,
    hertz: u32,
}

impl Singer {
    fn start(
        lab: &Lab,
        region: &str,
        guild: &Guild,
        channel_id: &str,
        bot: &Person,
        hertz: u32,
    ) -> anyhow::Result<Self> {
        let variable =
            |name: &str| std::env::var(name).with_context(|| format!("{name} is not set: use `cargo xtask test`"));
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/voice/voice.js");
        let mut command = Command::new(variable("ROOKERY_VOICE_NODE")?);
        command
            .arg(program)
            .env("NODE_PATH", variable("ROOKERY_VOICE_MODULES")?)
            .env("NODE_EXTRA_CA_CERTS", &lab.state().ca_file)
            .env("ROOKERY_API", api(lab, region)?)
            .env("ROOKERY_TOKEN", &bot.token)
            .env("ROOKERY_GUILD", &guild.id)
            .env("ROOKERY_CHANNEL", channel_id)
            .env("ROOKERY_PITCH", hertz.to_string());
        Ok(Self { lines: Lines::start_told(region, command)?, id: bot.id.clone(), hertz })
    }

    /// Hears another one's tone, said after this, at its pitch.
    async fn hears(&mut self, id: &str, hertz: u32) -> anyhow::Result<()> {
        self.lines.forget();
        let heard = |line: &Value| (line["heard"] == id).then(|| line.clone());
        let line = self.lines.find("that it hears the other", heard).await?;
        let is_right = line["hertz"].as_f64().is_some_and(|pitch| (pitch - f64::from(hertz)).abs() <= TOLERANCE);
        ensure!(is_right, "{line}, expected {hertz} Hz");
        Ok(())
    }
}

pub fn api(lab: &Lab, region: &str) -> anyhow::Result<String> {
    let pop = lab.state().process(&format!("{region}-pop"))?;
    pop.addresses.get("api").cloned().context("a point of presence has an API")
}

/// They do, also after the voice node of one has died: the other region's takes its member.
pub fn bots_of_both_regions_hear_each_other(lab: &mut Lab) {
    if std::env::var_os("ROOKERY_SKIP_CLIENTS").is_some() {
        eprintln!("SKIPPED: bots that speak, because client libraries are left out");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(speak(lab)).unwrap();
}

async fn speak(lab: &mut Lab) -> anyhow::Result<()> {
    let carol = Person::register(&api(lab, "eu")?, "carol").await?;
    let guild = Guild::create(&carol, "Choir").await?;
    let channel = carol.post(&format!("/guilds/{}/channels", guild.id), &json!({ "name": "loft", "type": 2 })).await?;
    let channel_id = text(&channel, "id")?;
    let mut singers = Vec::new();
    for (region, name, hertz) in [("eu", "Low", LOW), ("us", "High", HIGH)] {
        let bot = bot_in(&guild, &carol, name, ADMINISTRATOR).await?;
        singers.push(Singer::start(lab, region, &guild, channel_id, &bot, hertz)?);
    }
    let [mut low, mut high] = <[Singer; 2]>::try_from(singers).ok().context("two")?;
    both_hear(&mut low, &mut high).await?;

    // Each was at the voice node near it.
    for node in ["eu-voice", "us-voice"] {
        let members = members(lab, node, channel_id).await?;
        ensure!(members == 1.0, "{node} has {members} members");
    }

    low.lines.forget();
    lab.break_node("eu-voice")?;
    low.lines.find("that it is elsewhere", |line| (line["state"] == "ready").then_some(())).await?;
    both_hear(&mut low, &mut high).await?;
    lab.heal(Some("eu"), &Interrupt::never())
}

/// What the operator's port of a process says.
pub async fn of_operator(lab: &Lab, process: &str, path: &str) -> anyhow::Result<String> {
    let operator = lab.state().process(process)?.addresses.get("operator").context("an operator's port")?;
    Ok(reqwest::get(format!("{operator}{path}")).await?.error_for_status()?.text().await?)
}

/// How many members a channel has at a voice node.
async fn members(lab: &Lab, node: &str, channel_id: &str) -> anyhow::Result<f64> {
    let text = of_operator(lab, node, "/metrics/rooms").await?;
    let label = format!("channel=\"{channel_id}\"}}");
    let is_this = |line: &&str| line.starts_with("rookery_sfu_room_members{") && line.contains(&label);
    let line = text.lines().find(is_this).with_context(|| format!("{node} does not have {channel_id}:\n{text}"))?;
    Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
}

async fn both_hear(low: &mut Singer, high: &mut Singer) -> anyhow::Result<()> {
    low.hears(&high.id, high.hertz).await?;
    high.hears(&low.id, low.hertz).await
}
