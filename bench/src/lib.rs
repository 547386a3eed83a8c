//! Benchmarks, each beside its floor in the same run.
//!
//! Figures are CPU time as the kernel counts it, not wall time: the machine may be busy with other things. The server
//! runs as a process of its own, so that the load generator's cost is not in its figures. Every figure is the median of
//! rounds that alternate with rounds of its floor.

mod bars;
mod client;
mod cpu;
mod edge;
mod fanout;
mod growth;
mod herd;
mod idle;
mod load;
mod memberlist;
mod move_store;
mod post;
mod presence;
mod server;
mod statistics;
mod store;
mod voice;

use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

/// What to measure.
#[derive(Debug, Args)]
pub struct BenchArgs {
    name: Name,
    /// Prints one JSON object instead of lines.
    #[arg(long)]
    json: bool,
    /// Rounds of each side; the figure is their median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How large: messages, requests or sessions, as the benchmark has it; without it the benchmark's own.
    #[arg(long, alias = "messages")]
    size: Option<usize>,
    /// Members of the guild that look on nowhere, for `fanout`: beside a guild without them.
    #[arg(long, default_value_t = 0)]
    members: usize,
    /// What the sessions of `fanout` speak: beside as many that speak JSON.
    #[arg(long, value_name = "zlib-stream")]
    compress: Option<Compress>,
    /// Nodes of a cluster (ScyllaDB or Cassandra), for `store`, `growth` and `move`: with a store in it, in a keyspace of its
    /// own that is dropped afterwards.
    #[arg(long, value_name = "HOST[:PORT],…")]
    cql: Option<String>,
    /// What of `voice`, once for each; without it everything but other servers.
    #[arg(long, value_enum)]
    case: Vec<voice::Case>,
    /// Another server to measure `voice` beside, once for each; `cargo xtask bench-peers` installs them.
    #[arg(long, value_enum)]
    peer: Vec<voice::Peer>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compress {
    ZlibStream,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// Server CPU of a message from POST to acknowledgement, beside fdatasync.
    Post,
    /// An authenticated GET through the component, beside the same code native.
    Edge,
    /// CPU of a message's delivery to a session, beside a bare send.
    Fanout,
    /// Memory of an idle session.
    Idle,
    /// Memory after each of ten storms of reconnects.
    Storm,
    /// CPU of a change of presence and of its delivery, with idle members and with ten times as many.
    Presence,
    /// Packets that a voice node sends in a second of CPU, beside a bare loop and other servers; delay in a crowd, memory.
    Voice,
    /// The voice node of `voice`, in a process of its own.
    #[value(hide = true)]
    VoiceNode,
    /// The clients of other benchmarks, in a process of their own.
    #[value(hide = true)]
    Clients,
    /// CPU of a change of a member list, in a guild of a million with a hundred thousand online.
    Memberlist,
    /// Inserts and pages through the store, beside the bare engine, or in a cluster the bare driver.
    Store,
    /// Latency of a page in a channel of 10,000 messages, and in one of so many.
    Growth,
    /// A store moved through an archive, killed on the way, compared by digest.
    Move,
}

/// Runs one benchmark and prints its figures.
pub fn run(args: BenchArgs) -> anyhow::Result<()> {
    if matches!(args.name, Name::Clients) {
        return load::run_child();
    }
    if matches!(args.name, Name::VoiceNode) {
        return voice::run_node();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    let rounds = args.rounds.max(1);
    let cluster = args.cql.as_deref();
    if cluster.is_some() && !matches!(args.name, Name::Store | Name::Growth | Name::Move) {
        bail!("--cql is for `store`, `growth` and `move`");
    }
    let is_of_voice = !args.case.is_empty() || !args.peer.is_empty();
    if is_of_voice && !matches!(args.name, Name::Voice) {
        bail!("--case and --peer are for `voice`");
    }
    let figures = runtime.block_on(async {
        match args.name {
            Name::Post => post::run(rounds, args.size.unwrap_or(4_000)).await,
            Name::Edge => edge::run(rounds, args.size.unwrap_or(8_000)).await,
            Name::Fanout => {
                let speech = args.compress.map_or(load::Speech::Json, |Compress::ZlibStream| load::Speech::ZlibStream);
                let sessions = args.size.unwrap_or(3_000);
                fanout::run(rounds, fanout::Options { sessions, members: args.members, speech }).await
            }
            Name::Idle => idle::run(args.size.unwrap_or(5_000)).await,
            Name::Storm => idle::storm(args.size.unwrap_or(15_000)).await,
            Name::Presence => presence::run(rounds, args.size.unwrap_or(3_000)).await,
            Name::Clients | Name::VoiceNode => Ok(Value::Null),
            Name::Voice => voice::run(rounds, args.size.unwrap_or(1_000), &args.case, &args.peer).await,
            Name::Memberlist => memberlist::run(rounds, args.size.unwrap_or(20_000)),
            Name::Store => store::run(rounds, args.size, cluster).await,
            Name::Growth => growth::run(rounds, args.size, cluster).await,
            Name::Move => move_store::run(args.size.unwrap_or(200_000), cluster).await,
        }
    })?;
    print(&figures, args.json)
}

fn print(figures: &Value, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{figures}")?;
        return Ok(());
    }
    for (name, value) in figures.as_object().into_iter().flatten() {
        writeln!(out, "{name:44} {value}")?;
    }
    Ok(())
}

/// Where tests find a cluster, if they do.
#[cfg(test)]
fn test_cluster() -> Option<String> {
    let cluster = std::env::var("ROOKERY_TEST_CQL").ok();
    if cluster.is_none() {
        let words = b"SKIPPED: benchmarks in a cluster, because ROOKERY_TEST_CQL names none\n";
        std::io::stderr().write_all(words).expect("standard error");
    }
    cluster
}
