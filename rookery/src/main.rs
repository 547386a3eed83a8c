//! Rookery: one binary, every role.

mod admin;
mod ca;
mod config;
mod deployment;
mod descriptors;
mod dev;
mod node;
mod peers;
mod pop_role;
mod ready;
mod region_role;
mod schema;
mod secrets;
mod sfu_role;
mod start;
mod store;
mod store_admin;
mod voice;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tikv_jemallocator::Jemalloc;

/// What sessions need while they start, tens of kilobytes each, lies between what they keep: the system's allocator never
/// gives it back, this one does within seconds.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// A self-hostable communication platform that speaks Discord's public API.
#[derive(Debug, Parser)]
#[command(name = "rookery", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs everything in one process, on embedded defaults.
    Dev(dev::DevArgs),
    /// Runs a point of presence.
    Pop(start::RoleArgs),
    /// Runs a region.
    Region(start::RoleArgs),
    /// Runs a voice node.
    Sfu(start::RoleArgs),
    /// The deployment's certificate authority: issues what points of presence and regions show each other.
    Ca(ca::CaArgs),
    /// The deployment's regions, nodes and points of presence: deployment.json.
    Deployment(deployment::DeploymentArgs),
    /// The operator's tool.
    Admin(admin::AdminArgs),
    /// Measures, each figure beside its floor.
    Bench(rookery_bench::BenchArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One provider for the whole process; whoever is asked for TLS without naming one finds this. It is the first call.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let result = match cli.command {
        Command::Dev(args) => start::block_on(dev::run(args)),
        Command::Pop(args) => start::block_on(pop_role::run(args)),
        Command::Region(args) => start::block_on(region_role::run(args)),
        Command::Sfu(args) => start::block_on(sfu_role::run(args)),
        Command::Ca(args) => ca::run(&args),
        Command::Deployment(args) => deployment::run(&args),
        Command::Admin(args) => start::block_on(admin::run(args)),
        Command::Bench(args) => rookery_bench::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => start::report(&error),
    }
}
