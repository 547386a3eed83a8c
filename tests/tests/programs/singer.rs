//! Bots with an unmodified library that say a tone in a voice channel and tell which ones they hear.

use std::path::Path;

use anyhow::Context as _;
use rookery_tests::{Lines, Person, Process};
use tokio::process::Command;

use crate::programs::{source, variable};

/// Where a bot sings.
pub struct Stage<'a> {
    pub api: &'a str,
    pub gateway: &'a str,
    /// Whom the voice nodes' certificates are of.
    pub ca_file: &'a Path,
    pub guild: &'a str,
    pub channel: &'a str,
}

/// A bot that says a tone, another one each.
pub struct Singer {
    pub lines: Lines,
    pub id: String,
}

impl Singer {
    pub fn start(stage: &Stage<'_>, bot: &Person, hertz: u32) -> anyhow::Result<Self> {
        let mut command = Command::new(variable("ROOKERY_VOICE_NODE")?);
        command
            .arg(source("voice/voice.js")?)
            .env("NODE_PATH", variable("ROOKERY_VOICE_MODULES")?)
            .env("NODE_EXTRA_CA_CERTS", stage.ca_file)
            .env("ROOKERY_API", stage.api)
            .env("ROOKERY_GATEWAY", stage.gateway)
            .env("ROOKERY_TOKEN", &bot.token)
            .env("ROOKERY_GUILD", stage.guild)
            .env("ROOKERY_CHANNEL", stage.channel)
            .env("ROOKERY_PITCH", hertz.to_string());
        Ok(Self { lines: Lines::start_told("@discordjs/voice", command)?, id: bot.id.clone() })
    }

    pub async fn hears(&mut self, id: &str) -> anyhow::Result<()> {
        self.lines.forget();
        let what = format!("that it hears {id}");
        self.lines.find(&what, |line| (line["heard"] == id).then_some(())).await
    }
}

/// Voice sessions at a node.
pub async fn sessions(node: &Process) -> anyhow::Result<u64> {
    let metrics = reqwest::get(format!("{}/metrics", node.address("operator")?)).await?.text().await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("rookery_sfu_sessions "));
    line.map_or(Ok(0), |count| count.trim().parse::<f64>().map(|count| count as u64)).context("a count")
}
