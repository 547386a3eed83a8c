//! The scenarios at a size for every change, on three regions with a data centre each.
//!
//! Deployments are started one after the other; the nodes of their databases end with the thread of the test.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rookery_scenarios::deployment::{Deployment, Lab, Layout, Options, Started};
use rookery_scenarios::scenario::{self, Promise};
use rookery_scenarios::scene::Size;
use rookery_scenarios::stage::{Plan, tell};
use rookery_scenarios::verdict::Verdict;
use rookery_tests::{Guild, Lines, Person, bot_in, text};
use serde_json::json;
use tokio::process::Command;

const REGIONS: usize = 3;
/// What `regional` may lose with a region, on a machine where replication is not delayed.
const RECOVERY_POINT: Duration = Duration::from_secs(1);

fn plan() -> Plan {
    Plan { size: Size { sessions: 60, guilds: 3, travellers_percent: 10 }, per_second: 10.0, each: 30, ..Plan::small() }
}

/// Runs this on a deployment of its own; nothing where clusters are left out.
fn on_three_regions(
    durability: &str,
    test: impl AsyncFnOnce(&mut Started) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let options = Options { durability: durability.into(), ..Options::new(REGIONS) };
        match Started::start(options).await? {
            Some(mut started) => test(&mut started).await,
            None => {
                tell("SKIPPED: game days, because clusters are left out");
                Ok(())
            }
        }
    })
}

fn held(verdict: &Verdict) -> anyhow::Result<()> {
    tell(&verdict.to_string());
    ensure!(verdict.held() && !verdict.is_left_out(), "broken: {:?}", verdict.broken());
    Ok(())
}

#[test]
fn bots_of_two_regions_chat() -> anyhow::Result<()> {
    // One that runs already, by the folder that `cargo xtask lab` was given.
    if let Some(folder) = std::env::var_os("ROOKERY_LAB") {
        let lab = Lab::open(Path::new(&folder))?;
        return tokio::runtime::Runtime::new()?.block_on(chat(lab.layout()));
    }
    on_three_regions("global", async |deployment| chat(deployment.layout()).await)
}

#[test]
fn nobody_notices_a_rolling_update() -> anyhow::Result<()> {
    on_three_regions("global", async |deployment| held(&scenario::rolling_update(deployment, plan()).await?))
}

#[test]
fn a_region_dies_and_nothing_acknowledged_is_lost_in_global() -> anyhow::Result<()> {
    on_three_regions("global", async |deployment| {
        held(&scenario::region_killed(deployment, plan(), 0, Promise::Global).await?)
    })
}

#[test]
fn a_region_dies_and_no_more_is_lost_than_was_said_in_regional() -> anyhow::Result<()> {
    let promise = Promise::Regional { recovery_point: RECOVERY_POINT };
    on_three_regions("regional", async |deployment| {
        held(&scenario::region_killed(deployment, plan(), 0, promise).await?)
    })
}

fn variable(name: &str) -> anyhow::Result<PathBuf> {
    let found =
        std::env::var_os(name).with_context(|| format!("{name} is not set: run the tests by `cargo xtask test`"));
    Ok(found?.into())
}

/// A program with an unmodified library, told where its region is.
fn bot(program: Command, name: &str, api: &str, gateway: &str, token: &str) -> anyhow::Result<Lines> {
    let mut command = program;
    command.env("ROOKERY_API", api).env("ROOKERY_GATEWAY", gateway).env("ROOKERY_TOKEN", token);
    Lines::start(name, command)
}

/// discord.js in the first region and discord.py in the second answer somebody of the third, and hear each other.
async fn chat(layout: &Layout) -> anyhow::Result<()> {
    let api = |region: usize| layout.regions[region].pops[0].api.clone();
    let gateway = |region: usize| layout.regions[region].nodes[0].gateway.clone();
    // A lab may have played this before.
    let name = |name: &str| format!("{name}{}", std::process::id());
    let alice = Person::register(&api(0), &name("alice")).await?;
    let bob = Person::register(&api(1), &name("bob")).await?;
    let carol = Person::register(&api(2), &name("carol")).await?;
    let guild = Guild::create(&alice, "Far apart").await?;
    guild.welcome(&alice, &carol).await?;
    let first = bot_in(&guild, &alice, "Parrot", 8).await?;
    // The second bot's account is at home in its own region.
    let application = bob.post("/applications", &json!({ "name": "Magpie" })).await?;
    let id = text(&application, "id")?;
    let made = bob.post(&format!("/applications/{id}/bot"), &json!({})).await?;
    let second = bob.bot_of(id, text(&made, "token")?);
    let authorize = format!("/oauth2/authorize?client_id={id}&scope=bot&permissions=8");
    alice.post(&authorize, &json!({ "guild_id": guild.id, "authorize": true })).await?;

    let clients = variable("CARGO_MANIFEST_DIR")?.join("../clients");
    let mut node = Command::new(variable("ROOKERY_NODE")?);
    node.arg(clients.join("node/bot.js")).env("NODE_PATH", variable("ROOKERY_NODE_MODULES")?);
    let mut python = Command::new(variable("ROOKERY_PYTHON")?);
    python.arg(clients.join("python/bot.py"));
    let mut parrot = bot(node, "discord.js", &api(0), &gateway(0), &first.token)?;
    let mut magpie = bot(python, "discord.py", &api(1), &gateway(1), &second.token)?;
    for lines in [&mut parrot, &mut magpie] {
        let ready = lines.wait_for("ready").await?;
        ensure!(ready["guilds"] == 1, "{ready}");
    }
    for _ in 0..3 {
        let asked = carol.say(&guild.channel_id, "ping").await?;
        let mut answers = Vec::new();
        for lines in [&mut parrot, &mut magpie] {
            let heard = |line: &serde_json::Value| (line["message"] == asked.as_str()).then_some(());
            lines.find("the question", heard).await?;
            answers.push(text(&lines.done("ping").await?, "id")?.to_owned());
        }
        // Each hears what the other answered, out of the other region.
        for (lines, other) in [(&mut parrot, &answers[1]), (&mut magpie, &answers[0])] {
            let heard = |line: &serde_json::Value| (line["message"] == other.as_str()).then_some(());
            lines.find("the other's answer", heard).await?;
        }
    }
    let page = carol.get(&format!("/channels/{}/messages", guild.channel_id)).await?;
    ensure!(page.as_array().is_some_and(|page| page.len() == 9), "{page}");
    Ok(())
}
