//! `rookery-wan CONFIG`: carries packets between the lab's regions; see `rookery_lab::wan`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).map(PathBuf::from).context("usage: rookery-wan CONFIG")?;
    let text = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let config = serde_json::from_slice(&text).with_context(|| format!("{} is not as expected", path.display()))?;
    rookery_lab::wan::run(&config)
}
