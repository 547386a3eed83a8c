//! `gameday SCENARIO`: plays a scenario and prints its verdict; `cargo xtask gameday` is its command line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use rookery_scenarios::deployment::{Deployment, Lab, Options, Started, Store};
use rookery_scenarios::scenario::{self, Promise};
use rookery_scenarios::scene::Size;
use rookery_scenarios::stage::Plan;
use rookery_scenarios::verdict::Verdict;

/// The file system of a store that is to be full: several journals of an embedded one.
const DISK_BYTES: u64 = 512 << 20;

#[derive(Parser)]
#[command(name = "gameday", about = "Plays a fault under load and says what its clients saw")]
struct Cli {
    scenario: Scenario,
    /// The folder of a lab that is up; without it the processes are started here.
    #[arg(long)]
    lab: Option<PathBuf>,
    /// Contact points of a database cluster that runs already, one for each region, separated by commas; nothing is done
    /// to it. Without it the deployment has a cluster of its own, which dies where a region dies.
    #[arg(long, conflicts_with = "lab")]
    cql: Option<String>,
    /// A keyspace of that cluster to go on with: a new one takes minutes on a busy machine.
    #[arg(long, requires = "cql")]
    keyspace: Option<String>,
    /// How many regions are started here.
    #[arg(long, default_value_t = 3)]
    regions: usize,
    /// What acknowledged messages survive; in a lab, what it was started with.
    #[arg(long, value_enum, default_value = "global")]
    durability: Durability,
    /// What may be lost with a region in `regional`, milliseconds before its loss.
    #[arg(long, default_value_t = 1_000)]
    recovery_point_ms: u64,
    #[arg(long, default_value_t = 100)]
    sessions: usize,
    #[arg(long, default_value_t = 4)]
    guilds: usize,
    /// Messages a second, over all guilds.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Of a hundred people, so many are connected to another region than that of their account.
    #[arg(long, default_value_t = 10)]
    travellers: usize,
    /// Messages that are acknowledged before, between and after faults.
    #[arg(long, default_value_t = 60)]
    each: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Every process is replaced, one after the other.
    RollingUpdate,
    /// A region dies with all that it has, and returns.
    RegionKilled,
    /// A node dies, and is started again.
    NodeKilled,
    /// A region's NATS server dies, and is back after ten seconds.
    BusKilled,
    /// A node is halted for twenty seconds.
    NodePaused,
    /// A region is cut off from the others for half a minute; in a lab.
    Partition,
    /// Clocks are five minutes fast and slow; needs libfaketime.
    ClockSkew,
    /// All connections break at once, three times.
    ReconnectStorm,
    /// The disk of an embedded store is full; needs the right to mount a file system.
    FullDisk,
    /// The disks of a region's database stall.
    SlowDisk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Durability {
    Regional,
    Global,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(verdict) if verdict.held() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Verdict> {
    // Database nodes end with the thread that starts them: this one, which `block_on` keeps.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let verdict = runtime.block_on(async {
        if let Some(folder) = &cli.lab {
            return play(cli, &mut Lab::open(folder)?).await;
        }
        let mut store = cli.cql.clone().map_or(Store::OwnCluster, Store::Given);
        let (mut regions, mut disk_bytes) = (cli.regions, None);
        if cli.scenario == Scenario::FullDisk {
            (store, regions, disk_bytes) = (Store::Embedded, 1, Some(DISK_BYTES));
        }
        let durability = match cli.durability {
            Durability::Regional => "regional",
            Durability::Global => "global",
        };
        let options = Options {
            store,
            durability: durability.into(),
            keyspace: cli.keyspace.clone(),
            disk_bytes,
            ..Options::new(regions)
        };
        let Some(mut started) = Started::start(options).await.context("starting the deployment")? else {
            bail!("database clusters are left out here: ROOKERY_SKIP_CQL is set")
        };
        play(cli, &mut started).await
    })?;
    let mut out = std::io::stdout().lock();
    if cli.json {
        writeln!(out, "{}", verdict.to_json())?;
    } else {
        write!(out, "{verdict}")?;
    }
    Ok(verdict)
}

async fn play<D: Deployment>(cli: &Cli, deployment: &mut D) -> anyhow::Result<Verdict> {
    let size = Size { sessions: cli.sessions, guilds: cli.guilds, travellers_percent: cli.travellers };
    let plan = Plan { size, per_second: cli.rate, seed: cli.seed, each: cli.each, ..Plan::small() };
    match cli.scenario {
        Scenario::RollingUpdate => scenario::rolling_update(deployment, plan).await,
        Scenario::NodeKilled => scenario::node_killed(deployment, plan).await,
        Scenario::BusKilled => scenario::bus_killed(deployment, plan).await,
        Scenario::NodePaused => scenario::node_paused(deployment, plan).await,
        Scenario::Partition => scenario::partition(deployment, plan).await,
        Scenario::ClockSkew => scenario::clock_skew(deployment, plan).await,
        Scenario::ReconnectStorm => scenario::reconnect_storm(deployment, plan).await,
        Scenario::FullDisk => scenario::full_disk(deployment, plan).await,
        Scenario::SlowDisk => scenario::slow_disk(deployment, plan).await,
        Scenario::RegionKilled => {
            let promise = match cli.durability {
                Durability::Global => Promise::Global,
                Durability::Regional => {
                    Promise::Regional { recovery_point: Duration::from_millis(cli.recovery_point_ms) }
                }
            };
            scenario::region_killed(deployment, plan, 0, promise).await
        }
    }
}
