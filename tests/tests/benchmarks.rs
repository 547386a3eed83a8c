//! Benchmarks of the gateway, as small as they go: each ends, and has its figures and their bars.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use rookery_tests::run_for;
use serde_json::Value;

/// On a machine that does other things beside.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs one; its figures.
async fn bench(name: &str) -> anyhow::Result<Value> {
    bench_with(name, &[]).await
}

async fn bench_with(name: &str, options: &[&str]) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let args = ["bench", name, "--json", "--rounds", "1", "--size", "40"].into_iter().chain(options.iter().copied());
    let ended = run_for(PATIENCE, folder.path(), args).await?;
    ensure!(ended.code == Some(0), "{ended:?}");
    Ok(serde_json::from_str(&ended.stdout)?)
}

/// The value of a figure that has a bar; whether it is held says nothing at this size.
fn barred(figures: &Value, name: &str) -> anyhow::Result<f64> {
    let bar = figures["bars"].as_array().into_iter().flatten().find(|bar| bar["figure"] == name);
    let bar = bar.with_context(|| format!("no bar for {name}: {figures}"))?;
    let is_bound = |bound: &str| bar[bound].is_number();
    ensure!(bar["held"].is_boolean() && ["at_most", "at_least", "exactly"].into_iter().any(is_bound), "{figures}");
    bar["value"].as_f64().context("a value")
}

#[tokio::test]
async fn presence_has_the_cost_of_a_change_and_of_an_update() -> anyhow::Result<()> {
    let figures = bench("presence").await?;
    barred(&figures, "idle_ratio")?;
    ensure!(figures["sessions_looking"] == 40 && figures["updates_of_a_change"] == 4.0, "{figures}");
    ensure!(figures["idle_members_times_10"].as_u64() == figures["idle_members"].as_u64().map(|n| n * 10), "{figures}");
    for figure in ["bytes_per_update", "floor_send_cpu_us"] {
        ensure!(figures[figure].as_f64().is_some_and(|value| value > 0.0), "{figure}: {figures}");
    }
    ensure!(
        figures["change_server_cpu_us"].is_number() && figures["server_cpu_us_per_update"].is_number(),
        "{figures}"
    );
    Ok(())
}

#[tokio::test]
async fn fanout_has_the_cost_of_a_delivery() -> anyhow::Result<()> {
    let figures = bench("fanout").await?;
    for figure in ["of_floor", "burst_of_floor", "last_delivery_p99_ms"] {
        barred(&figures, figure)?;
    }
    ensure!(figures["bytes_per_message"].as_f64().is_some_and(|bytes| bytes > 500.0), "{figures}");
    Ok(())
}

#[tokio::test]
async fn compressed_sessions_and_idle_members_are_compared_with_plain_ones() -> anyhow::Result<()> {
    let figures = bench_with("fanout", &["--compress", "zlib-stream"]).await?;
    for figure in ["of_plain", "burst_of_plain"] {
        barred(&figures, figure)?;
    }
    let bytes = barred(&figures, "bytes_of_plain")?;
    ensure!((0.3..0.7).contains(&bytes), "{figures}");
    let figures = bench_with("fanout", &["--members", "500"]).await?;
    barred(&figures, "of_plain")?;
    ensure!(figures["bars"].as_array().map(Vec::len) == Some(2), "{figures}");
    Ok(())
}

#[tokio::test]
async fn idle_has_what_a_session_takes() -> anyhow::Result<()> {
    let figures = bench("idle").await?;
    ensure!(figures["sessions"] == 40, "{figures}");
    barred(&figures, "resident_bytes_per_session")?;
    Ok(())
}

#[tokio::test]
async fn storm_has_what_ten_storms_leave() -> anyhow::Result<()> {
    let figures = bench("storm").await?;
    ensure!(figures["resident_bytes_after_each"].as_array().map(Vec::len) == Some(10), "{figures}");
    ensure!(barred(&figures, "last_of_first")? > 0.0, "{figures}");
    Ok(())
}

#[tokio::test]
async fn voice_has_the_cost_of_a_packet_the_delay_in_a_crowd_and_the_memory_of_a_member() -> anyhow::Result<()> {
    let figures = bench("voice").await?;
    let forward = figures["forward"].as_array().context("rooms")?;
    // Two sizes, two modes, and how many speak.
    ensure!(forward.len() == 8, "{figures}");
    for room in forward {
        for figure in ["cpu_us_per_packet", "packets_per_cpu_second", "floor_cpu_us", "packets_of_floor"] {
            ensure!(room[figure].as_f64().is_some_and(|value| value > 0.0), "{figure}: {figures}");
        }
    }
    for figure in ["forward_least_of_floor", "forward_growth", "crowd_delay_p99_of_allowed", "memory_bytes_per_member"]
    {
        ensure!(barred(&figures, figure)? > 0.0, "{figure}: {figures}");
    }
    ensure!(barred(&figures, "crowd_lost")? == 0.0 && figures["crowd_listeners"] == 200, "{figures}");
    Ok(())
}

#[tokio::test]
async fn a_peer_that_is_not_installed_is_named() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ended = run_for(PATIENCE, folder.path(), ["bench", "voice", "--size", "1", "--peer", "pion"]).await?;
    ensure!(ended.code == Some(1) && ended.stderr.contains("cargo xtask bench-peers"), "{ended:?}");
    Ok(())
}
