//! `cargo xtask lab`: many regions on this machine (`rookery-lab`).

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use rookery_lab::{Fault, Interrupt, Lab, Mode, Options, Programs, Status};

use crate::component::{self, LockFile, Profile};
use crate::setup::{self, Purpose};
use crate::shell::say;
use crate::{cql, nats, paths, shell, terraform};

#[derive(Debug, Args)]
pub struct Cli {
    /// Where the lab keeps its things [default: target/lab].
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a lab and returns when everything in it is well.
    Up(Up),
    /// Asks everything how it is; exit code 1 where something is not well.
    Status {
        /// Prints one JSON object on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Breaks something.
    Break {
        #[command(subcommand)]
        what: Break,
    },
    /// Starts what does not run and lets regions hear each other again.
    Heal {
        /// `region`, to mend one region alone.
        #[arg(value_parser = ["region"], requires = "name")]
        what: Option<String>,
        /// The region.
        name: Option<String>,
    },
    /// Ends everything; logs stay.
    Down,
}

#[derive(Debug, Args)]
struct Up {
    /// How many regions.
    #[arg(long, default_value_t = 3)]
    regions: usize,
    /// How many nodes each has.
    #[arg(long, value_name = "N", default_value_t = 1)]
    nodes_per_region: usize,
    /// How long a packet takes from one region to another, one way.
    #[arg(long, value_name = "MS", default_value_t = 40.0)]
    delay_ms: f64,
    /// How many of a hundred packets get lost on the way.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.1)]
    loss_percent: f64,
    /// Which packets get lost.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// `regional`, or `global`, which needs three regions.
    #[arg(long, default_value = "regional")]
    durability: String,
    /// Leaves rate limits on.
    #[arg(long)]
    limits: bool,
    /// Uses loopback addresses even where network namespaces can be made.
    #[arg(long)]
    loopback: bool,
    /// Runs this binary instead of building one.
    #[arg(long, value_name = "FILE")]
    rookery: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Break {
    /// Ends all of a region at once, or cuts it off.
    Region {
        name: String,
        /// Lets it go on and drops what it and the others send each other.
        #[arg(long)]
        cut: bool,
        /// Cuts it off from this region alone; may stand several times.
        #[arg(long = "from", value_name = "REGION", requires = "cut")]
        from: Vec<String>,
    },
    /// Kills a node, or any process by its name in `lab status`.
    Node { name: String },
    /// Kills the bus of every region.
    Bus,
}

/// Runs one of the commands.
pub fn run(cli: &Cli) -> Result<()> {
    let folder = cli.dir.clone().unwrap_or_else(|| paths::target().join("lab"));
    if let Command::Up(up) = &cli.command {
        return bring_up(&folder, up);
    }
    // Nothing is built for a lab that is not there.
    if matches!(cli.command, Command::Down) && !folder.join("lab.json").exists() {
        say!("no lab is up in {}", folder.display());
        return Ok(());
    }
    let mut lab = Lab::open(&folder, &programs(None)?)?;
    match &cli.command {
        Command::Up(_) => Ok(()),
        Command::Status { json } => status(&mut lab, *json),
        Command::Break { what } => break_something(&mut lab, what),
        Command::Heal { name, .. } => {
            lab.heal(name.as_deref(), &Interrupt::take()?)?;
            say!("{} is well", name.as_deref().unwrap_or("everything"));
            Ok(())
        }
        Command::Down => {
            lab.down()?;
            say!("the lab is down; its logs are in {}", folder.join("machines").display());
            Ok(())
        }
    }
}

fn bring_up(folder: &std::path::Path, up: &Up) -> Result<()> {
    let options = Options {
        regions: up.regions,
        nodes_per_region: up.nodes_per_region,
        delay_ms: up.delay_ms,
        loss_percent: up.loss_percent,
        seed: up.seed,
        durability: up.durability.clone(),
        limits: up.limits,
        loopback: up.loopback,
    };
    // Before anything is built for it.
    options.check()?;
    setup::install(&[Purpose::Build, Purpose::Cluster, Purpose::Bus, Purpose::Infra])?;
    cql::prepared_runtime()?;
    if up.rookery.is_none() {
        component::build(Profile::Dev, LockFile::MayChange)?;
        shell::run_aside(paths::cargo().args(["build", "--package", "rookery"]))?;
    }
    shell::run_aside(paths::cargo().args(["build", "--package", "rookery-lab", "--bin", "rookery-wan"]))?;
    let programs = programs(up.rookery.clone())?;
    let mut lab = Lab::up(folder, &programs, &options, &Interrupt::take()?, &|line| say!("{line}"))?;
    table(&lab.status()?)?;
    say!("the lab is up: {}", lab.folder().join("lab.json").display());
    Ok(())
}

fn programs(rookery: Option<PathBuf>) -> Result<Programs> {
    let rookery = rookery.map(|path| path.canonicalize().with_context(|| format!("{} is not there", path.display())));
    Ok(Programs {
        rookery: rookery.unwrap_or_else(|| Ok(paths::binary(Profile::Dev)))?,
        wan: paths::binary(Profile::Dev).with_file_name("rookery-wan"),
        nats_server: nats::server()?,
        terraform: terraform::terraform_program()?,
        gdnsd: rookery_lab::server("gdnsd")?,
        turnserver: rookery_lab::server("turnserver")?,
        prometheus: rookery_lab::server("prometheus")?,
        runtime: cql::runtime()?,
        repository: paths::root().to_owned(),
    })
}

fn break_something(lab: &mut Lab, what: &Break) -> Result<()> {
    match what {
        Break::Region { name, cut: true, from } => {
            lab.break_region(name, &Fault::CutFrom(from.clone()))?;
            let others = if from.is_empty() { "all others".to_owned() } else { from.join(", ") };
            say!("{name} is cut off from {others}; `cargo xtask lab heal` ends that");
        }
        Break::Region { name, .. } => {
            lab.break_region(name, &Fault::Killed)?;
            say!("everything in {name} was killed; `cargo xtask lab heal` starts it again");
        }
        Break::Node { name } => {
            lab.break_node(name)?;
            say!("{name} was killed; `cargo xtask lab heal` starts it again");
        }
        Break::Bus => {
            lab.break_bus()?;
            say!("the bus of every region was killed; `cargo xtask lab heal` starts it again");
        }
    }
    Ok(())
}

fn status(lab: &mut Lab, json: bool) -> Result<()> {
    let status = lab.status()?;
    if json {
        print(&serde_json::to_string(&status)?)?;
    } else {
        table(&status)?;
    }
    ensure!(status.healthy, "something is not well");
    Ok(())
}

fn table(status: &Status) -> Result<()> {
    let between = match status.mode {
        Mode::Namespaces => {
            format!("{} ms and {} % of loss between regions", status.options.delay_ms, status.options.loss_percent)
        }
        Mode::Loopback => "loopback addresses, no delay between regions".to_owned(),
    };
    print(&between)?;
    for region in &status.regions {
        let times = region.round_trip_ms.iter().map(|(name, time)| match time {
            Some(ms) => format!("{name} {ms} ms"),
            None => format!("{name} out of reach"),
        });
        let times = times.collect::<Vec<_>>().join(", ");
        let cut = if region.cut_from.is_empty() {
            String::new()
        } else {
            format!("   CUT from {}", region.cut_from.join(", "))
        };
        let bytes = region
            .wan_bytes
            .map_or(String::new(), |it| format!("   sent {} KiB, received {} KiB", it.sent / 1024, it.received / 1024));
        let namespace = region.namespace.as_deref().unwrap_or("");
        print(&format!("{:<6} {namespace:<14} {times}{bytes}{cut}", region.name))?;
    }
    for process in &status.processes {
        let health = match (process.healthy, process.broken) {
            (true, _) => "well",
            (false, true) => "BROKEN",
            (false, false) => "NOT WELL",
        };
        let pid = process.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let addresses: Vec<&str> = process.addresses.values().map(String::as_str).collect();
        let (name, addresses) = (&process.name, addresses.join(" "));
        print(&format!("{name:<18} {pid:>8} {health:<8} {addresses}   {}", process.detail))?;
    }
    Ok(())
}

fn print(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("standard output is closed")
}
