//! `cargo xtask cql`: a real Cassandra cluster on loopback addresses (`rookery-test-cluster`).

pub mod jars;
pub mod java;
mod show;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use rookery_test_cluster::{Cluster, Lifetime, Runtime, Starts, Subnet, TemporaryCluster, Topology, Up};

use crate::paths;
use crate::setup::{self, Purpose};
use crate::shell::say;

/// Contact points of a cluster for the tests, as in `127.0.0.1:9042,127.0.0.2:9042`.
pub const CONTACT_POINTS: &str = "ROOKERY_TEST_CQL";

#[derive(Debug, Args)]
pub struct Cli {
    /// Where the cluster keeps its data: by default a folder of the cache, one for each clone.
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the cluster, or what is missing of it; returns when every node sees every node up and normal.
    Up {
        /// How many data centres [default: as before, else 1].
        #[arg(long)]
        dcs: Option<u8>,
        /// How many nodes in each data centre [default: as before, else 1].
        #[arg(long)]
        nodes: Option<u8>,
        /// The first three numbers of the nodes' addresses [default: as before, else 127.0.0].
        #[arg(long)]
        subnet: Option<Subnet>,
        /// Prints one JSON object on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Asks every node to end and waits for it; what they stored stays.
    Down {
        /// Ends them at once and removes what they stored.
        #[arg(long)]
        delete: bool,
    },
    /// Shows the nodes, and the ring as the first running one sees it.
    Status {
        /// Prints one JSON object on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Starts, stops (SIGTERM) or kills (SIGKILL) one node, and waits until that is done.
    Node { name: String, action: Action },
    /// Runs `nodetool ARGS` on one node.
    Nodetool {
        name: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    Start,
    Stop,
    Kill,
}

/// Runs one of the commands.
pub fn run(cli: &Cli) -> Result<()> {
    let folder = cli.dir.clone().map_or_else(default_folder, Ok)?;
    if let Command::Up { dcs, nodes, subnet, json } = &cli.command {
        return up(&folder, *dcs, *nodes, *subnet, *json);
    }
    let Some(cluster) = existing(&folder)? else {
        if matches!(cli.command, Command::Down { .. }) {
            say!("there is no cluster in {}", folder.display());
            return Ok(());
        }
        bail!("there is no cluster in {}: start one with `cargo xtask cql up`", folder.display());
    };
    match &cli.command {
        Command::Up { .. } => Ok(()),
        Command::Down { delete } => down(&cluster, *delete),
        Command::Status { json } => show::status(&cluster, *json),
        Command::Node { name, action } => act(&cluster, name, *action),
        Command::Nodetool { name, args } => nodetool(&cluster, name, args),
    }
}

fn up(folder: &Path, dcs: Option<u8>, nodes: Option<u8>, subnet: Option<Subnet>, json: bool) -> Result<()> {
    let runtime = prepared_runtime()?;
    let before = Cluster::open(folder, &runtime)?.map(|cluster| cluster.topology().clone());
    let dcs = dcs.or(before.as_ref().map(Topology::dcs)).unwrap_or(1);
    let nodes = nodes.or(before.as_ref().map(Topology::nodes_per_dc)).unwrap_or(1);
    let subnet = subnet.or(before.as_ref().map(Topology::subnet)).unwrap_or(Subnet::DEFAULT);
    let cluster = Cluster::create(folder, Topology::new(dcs, nodes, subnet)?, &runtime)?;
    say!("starting {} in {}", cluster.topology(), folder.display());
    match cluster.up()? {
        Up::Already => say!("it is up already"),
        Up::Started(names) => say!("started {}; every node sees every node up", names.join(", ")),
    }
    show::nodes(&cluster, json)
}

fn down(cluster: &Cluster, delete: bool) -> Result<()> {
    if delete {
        cluster.delete()?;
        say!("the cluster is down and what it stored is removed");
    } else {
        let count = cluster.down()?;
        say!("the cluster is down ({count} nodes ended); `cargo xtask cql up` starts it with what it stored");
    }
    Ok(())
}

fn act(cluster: &Cluster, name: &str, action: Action) -> Result<()> {
    match action {
        Action::Start => cluster.start(name)?,
        Action::Stop => cluster.stop(name)?,
        Action::Kill => cluster.kill(name)?,
    }
    match action {
        Action::Start => say!("{name} is up, and every running node sees it"),
        Action::Stop | Action::Kill => say!("{name} has ended"),
    }
    Ok(())
}

fn nodetool(cluster: &Cluster, name: &str, args: &[String]) -> Result<()> {
    let status = cluster.nodetool_command(name)?.args(args).status().context("nodetool could not be started")?;
    ensure!(status.success(), "`nodetool {}` on {name} failed: {status}", args.join(" "));
    Ok(())
}

/// The cluster that the tests of one run use: three data centres of one node.
///
/// The nodes end with this program, however it ends; what a killed one left is removed by the next.
pub fn for_tests() -> Result<TemporaryCluster> {
    let runtime = prepared_runtime()?;
    let folder = state_folder("tests")?;
    let cluster = TemporaryCluster::start(&folder, 3, 1, Lifetime::OfStartingThread, Starts::Once, &runtime)?;
    say!("{}: {}", cluster.topology(), contact_points(&cluster));
    Ok(cluster)
}

/// The value of [`CONTACT_POINTS`].
pub fn contact_points(cluster: &Cluster) -> String {
    cluster.contact_points().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The contact points of the cluster that `cql up` started for this clone, if it runs.
pub fn running_contact_points() -> Result<Option<String>> {
    let Some(cluster) = existing(&default_folder()?)? else { return Ok(None) };
    let is_up = cluster.nodes()?.iter().any(|(_, state)| state.is_running());
    Ok(is_up.then(|| contact_points(&cluster)))
}

/// Java and the jars, which have to be there.
pub fn runtime() -> Result<Runtime> {
    let java = java::find().context("Java 17 is not installed: run `cargo xtask setup`")?;
    ensure!(jars::are_complete()?, "Cassandra's jars are not there: run `cargo xtask setup`");
    Runtime::open(&java, &jars::folder()?)
}

/// Java, the jars and the class archives, installed or made where they are missing.
pub fn prepared_runtime() -> Result<Runtime> {
    setup::install(&[Purpose::Cluster])?;
    let runtime = runtime()?;
    if !runtime.has_archives() {
        say!("making class archives, once: nodes start with a quarter less work with them");
        if let Err(error) = runtime.make_archives() {
            say!("going on without class archives: {error:#}");
        }
    }
    Ok(runtime)
}

fn existing(folder: &Path) -> Result<Option<Cluster>> {
    // Asked before the runtime: without a cluster it need not be there.
    if !folder.join("cluster.json").exists() {
        return Ok(None);
    }
    Cluster::open(folder, &runtime()?)
}

fn default_folder() -> Result<PathBuf> {
    state_folder("up")
}

/// Outside the clone, and of this clone alone.
fn state_folder(name: &str) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let clone = paths::short_hash(paths::root().as_os_str().as_bytes());
    Ok(paths::cache()?.join("cql").join(format!("{clone}-{name}")))
}
