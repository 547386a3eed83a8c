//! Compiles the edge component ahead of time for the host that embeds it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;

/// Compiles a WebAssembly component into the form that the PoP host of this version loads.
#[derive(Parser)]
#[command(name = "rookery-precompile")]
struct Cli {
    /// The component.
    wasm: PathBuf,
    /// Where the compiled form goes.
    #[arg(long)]
    out: PathBuf,
    /// Target triple; the code then uses only what every CPU of that architecture has. Left out, it may use all
    /// that this machine's CPU offers.
    #[arg(long)]
    target: Option<String>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let wasm = fs::read(&cli.wasm).with_context(|| format!("{} could not be read", cli.wasm.display()))?;
    let compiled = rookery_edge_engine::precompile(&wasm, cli.target.as_deref())
        .with_context(|| format!("{} was not compiled", cli.wasm.display()))?;
    fs::write(&cli.out, compiled).with_context(|| format!("{} could not be written", cli.out.display()))
}
