//! Faults of single parts. After each everything must be as always, and messages must go through again.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::deployment::{Deployment, NotHere, Target};
use crate::record::Record;
use crate::stage::{Plan, Stage, has_guild, judge_always};
use crate::verdict::{Verdict, milliseconds};

/// The region to which it happens.
const REGION: usize = 0;
/// What is out for a while, and what hangs on it, goes on within this.
const RECOVERY: Duration = Duration::from_secs(60);
/// Regions to which nothing happens go on within this.
const OTHERS: Duration = Duration::from_secs(15);
/// Guilds go on elsewhere, or again, within this.
const FAILOVER: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_secs(20);
const BUS_OUTAGE: Duration = Duration::from_secs(10);
const PARTITION: Duration = Duration::from_secs(30);
const SKEW_S: i64 = 300;
const DISK_FULL: Duration = Duration::from_secs(10);
/// A disk that stalls: how long, how often, and the time in between.
const STALL: Duration = Duration::from_millis(400);
const STALLS: usize = 20;
const BETWEEN_STALLS: Duration = Duration::from_millis(100);
/// Everybody is back after a storm within this.
const STORM: Duration = Duration::from_secs(15);

/// A scenario whose fault cannot be made is left out with a word; other errors are errors.
macro_rules! or_left_out {
    ($stage:ident, $attempt:expr) => {
        match $attempt {
            Ok(value) => value,
            Err(error) if error.is::<NotHere>() => {
                let mut verdict = $stage.verdict;
                $stage.audience.leave().await;
                $stage.load.end().await;
                verdict.leave_out(error);
                return Ok(verdict);
            }
            Err(error) => return Err(error),
        }
    };
}

/// A region's node is killed, and started again as by a service manager.
pub async fn node_killed<D: Deployment>(deployment: &mut D, plan: Plan) -> anyhow::Result<Verdict> {
    let mut stage = Stage::set(deployment, "node-killed", plan).await?;
    let node = Target::node(REGION, 0);
    let killed = Instant::now();
    stage.deployment.kill(node).await?;
    stage.start(node).await?;
    let all = stage.all();
    stage.goes_on(&all, RECOVERY, "after the node was killed").await;
    let (record, mut verdict) = close(stage).await;
    pauses(&record, &mut verdict, killed, &[REGION], Some(FAILOVER));
    verdict.check("sessions are back within 15 s", record.away_for_longer(FAILOVER, killed, |_| true));
    Ok(verdict)
}

/// A region's NATS server is killed, and comes back after a while.
pub async fn bus_killed<D: Deployment>(deployment: &mut D, plan: Plan) -> anyhow::Result<Verdict> {
    let mut stage = Stage::set(deployment, "bus-killed", plan).await?;
    let bus = Target::bus(REGION);
    let killed = Instant::now();
    or_left_out!(stage, stage.deployment.kill(bus).await);
    let all = stage.all();
    // Calls go over the link: nobody is refused for want of a bus.
    stage.goes_on(&all, OTHERS, "without the bus").await;
    tokio::time::sleep(BUS_OUTAGE.saturating_sub(killed.elapsed())).await;
    stage.deployment.start(bus).await?;
    stage.goes_on(&all, RECOVERY, "after the bus is back").await;
    let (record, mut verdict) = close(stage).await;
    pauses(&record, &mut verdict, killed, &[], None);
    Ok(verdict)
}

/// A region's node is halted, as by a machine that is moved, and goes on as if nothing had been.
pub async fn node_paused<D: Deployment>(deployment: &mut D, plan: Plan) -> anyhow::Result<Verdict> {
    let mut stage = Stage::set(deployment, "node-paused", plan).await?;
    let (node, others) = (Target::node(REGION, 0), stage.others(REGION));
    let halted = Instant::now();
    or_left_out!(stage, stage.deployment.halt(node).await);
    stage.goes_on(&others, OTHERS, "while the node is halted").await;
    tokio::time::sleep(PAUSE.saturating_sub(halted.elapsed())).await;
    stage.deployment.go_on(node).await?;
    let all = stage.all();
    stage.goes_on(&all, RECOVERY, "after the node goes on").await;
    let (record, mut verdict) = close(stage).await;
    pauses(&record, &mut verdict, halted, &[REGION], None);
    Ok(verdict)
}

/// A region is cut off from the others for a while; its own clients still reach it.
pub async fn partition<D: Deployment>(deployment: &mut D, plan: Plan) -> anyhow::Result<Verdict> {
    let mut stage = Stage::set(deployment, "partition", plan).await?;
    let others = stage.others(REGION);
    let cut = Instant::now();
    or_left_out!(stage, stage.deployment.cut(REGION).await);
    stage.goes_on(&others, OTHERS, "while the region is cut off").await;
    tokio::time::sleep(PARTITION.saturating_sub(cut.elapsed())).await;
    stage.deployment.heal(REGION).await?;
    let all = stage.all();
    stage.goes_on(&all, RECOVERY, "after the cut is healed").await;
    let (record, mut verdict) = close(stage).await;
    pauses(&record, &mut verdict, cut, &[REGION], None);
    Ok(verdict)
}

/// A region's clock is minutes fast, another's minutes slow, then both are right again.
pub async fn clock_skew<D: Deployment>(deployment: &mut D, plan: Plan) -> anyhow::Result<Verdict> {
    let mut stage = Stage::set(deployment, "clock-skew", plan).await?;
    let began = Instant::now();
    let last = stage.layout.regions.len() - 1;
    let mut skews = vec![(REGION, SKEW_S)];
    if last != REGION {
        skews.push((last, -SKEW_S));
    }
    let all = stage.all();
    for (region, skew_s) in &skews {
        let node = Target::node(*region, 0);
        stage.deployment.end(node).await?;
        match stage.deployment.start_skewed(node, *skew_s).await {
            Err(error) if error.is::<NotHere>() => {
                // The node has to run for what follows.
                stage.start(node).await?;
                or_left_out!(stage, Err::<(), _>(error));
            }
            started => started?,
        }
        stage.becomes_ready(node).await?;
        stage.goes_on(&all, RECOVERY, &format!("with the clock of region {region} {skew_s:+} s off")).await;
    }
    for (region, _) in &skews {
        let node = Target::node(*region, 0);
        stage.deployment.end(node).await?;
        stage.start(node).await?;
    }
    // The region whose clock was fast made ids minutes ahead, and goes on above them.
    stage.goes_on(&all, RECOVERY, "after the clocks are right again").await;
    let (record, mut verdict) = close(stage).await;
    pauses(&record, &mut verdict, began, &all, None);
    Ok(verdict)
}

/// All connections break at the same moment.
pub async fn reconnect_storm<D: Deployment>(deployment: &mut D, plan: Plan) -> anyhow::Result<Verdict> {
    let mut stage = Stage::set(deployment, "reconnect-storm", plan).await?;
    let all = stage.all();
    let cut = Instant::now();
    for round in 1..=3 {
        stage.audience.cut();
        stage.goes_on(&all, OTHERS, &format!("after storm {round}")).await;
        let scene = stage.scene.clone();
        stage.audience.wait(RECOVERY, |number, journal| has_guild(&scene, number, journal)).await;
    }
    let (record, mut verdict) = close(stage).await;
    verdict.check("everybody is back within 15 s", record.away_for_longer(STORM, cut, |_| true));
    verdict.check("no client had to IDENTIFY anew", record.identified_anew());
    verdict.check("no client lost a message", record.losses());
    verdict.figure("longest time without a connection", record.longest_outage(cut));
    pauses(&record, &mut verdict, cut, &[], None);
    Ok(verdict)
}

/// The disk of the store is full for a while: what cannot be kept is refused, and nothing that was acknowledged is lost.
pub async fn full_disk<D: Deployment>(deployment: &mut D, plan: Plan) -> anyhow::Result<Verdict> {
    let mut stage = Stage::set(deployment, "full-disk", plan).await?;
    let full = Instant::now();
    or_left_out!(stage, stage.deployment.fill_disk(REGION).await);
    stage.tell("the disk is full");
    tokio::time::sleep(DISK_FULL).await;
    stage.deployment.empty_disk(REGION).await?;
    let all = stage.all();
    // A store that cannot write any more may end its process, and then is started again.
    let node = Target::node(REGION, 0);
    let mut goes_on = stage.load.wait_for_more(&all, 1, RECOVERY).await;
    if !goes_on {
        stage.verdict.figure("the node was started again", "yes");
        stage.deployment.kill(node).await?;
        stage.start(node).await?;
        goes_on = stage.goes_on(&all, RECOVERY, "after there is room again").await;
    }
    let _ = goes_on;
    // What is on the disk is what counts.
    stage.deployment.kill(node).await?;
    stage.start(node).await?;
    stage.goes_on(&all, RECOVERY, "after a crash thereafter").await;
    let (record, mut verdict) = close(stage).await;
    pauses(&record, &mut verdict, full, &[], None);
    Ok(verdict)
}

/// The disks of a region's database stall again and again.
pub async fn slow_disk<D: Deployment>(deployment: &mut D, plan: Plan) -> anyhow::Result<Verdict> {
    let mut stage = Stage::set(deployment, "slow-disk", plan).await?;
    let (database, all) = (Target::database(REGION), stage.all());
    let slow = Instant::now();
    for _ in 0..STALLS {
        or_left_out!(stage, stage.deployment.halt(database).await);
        tokio::time::sleep(STALL).await;
        stage.deployment.go_on(database).await?;
        tokio::time::sleep(BETWEEN_STALLS).await;
    }
    stage.goes_on(&all, RECOVERY, "after the disk stalled").await;
    let (record, mut verdict) = close(stage).await;
    verdict.check("no client had to IDENTIFY anew", record.identified_anew());
    verdict.check("no client lost a message", record.losses());
    pauses(&record, &mut verdict, slow, &[], None);
    Ok(verdict)
}

async fn close<D: Deployment>(stage: Stage<'_, D>) -> (Record, Verdict) {
    let (record, mut verdict) = stage.take_down().await;
    judge_always(&record, &mut verdict, &HashSet::new());
    verdict.check("everything that somebody wanted to say was acknowledged", record.said.given_up.clone());
    (record, verdict)
}

/// The longest pauses between acknowledgements; a check for those to which it happened, where there is a limit.
fn pauses(record: &Record, verdict: &mut Verdict, from: Instant, hit: &[usize], limit: Option<Duration>) {
    let until = record.said.posts.iter().map(|post| post.ended).max().unwrap_or(from);
    for (region, layout) in record.layout.regions.iter().enumerate() {
        let pause = record.longest_pause(region, from, until);
        let name = format!("longest pause between acknowledgements in guilds of {}", layout.name);
        verdict.figure(&name, milliseconds(pause));
        if let Some(limit) = limit.filter(|_| hit.contains(&region)) {
            let broken = if pause <= limit { Vec::new() } else { vec![milliseconds(pause)] };
            verdict.check(&format!("guilds of {} go on within {} s", layout.name, limit.as_secs()), broken);
        }
    }
}
