//! A region dies with all that it has, its users go on elsewhere, and it comes back.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::deployment::{Deployment, NotHere, Target};
use crate::journal::Journal;
use crate::record::{Pages, Record};
use crate::stage::{Plan, Stage, judge_always, pages};
use crate::verdict::{Verdict, milliseconds};

/// Users of the dead region are back, and its guilds go on, within this.
const FAILOVER: Duration = Duration::from_secs(15);
/// Longer than that, so that the verdict says how long it took.
const FAILOVER_WATCHED: Duration = Duration::from_secs(45);
/// Traffic of others goes on.
const OTHERS: Duration = Duration::from_secs(15);
const RETURN: Duration = Duration::from_secs(60);

/// What a region's loss may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Nothing that was acknowledged.
    Global,
    /// What was acknowledged within this time before the loss: the stated recovery point.
    Regional { recovery_point: Duration },
}

/// Kills a region's node, point of presence, bus and database at once, under load; later starts all of it again.
pub async fn region_killed<D: Deployment>(
    deployment: &mut D,
    plan: Plan,
    region: usize,
    promise: Promise,
) -> anyhow::Result<Verdict> {
    let name = match promise {
        Promise::Global => "region-killed, global",
        Promise::Regional { .. } => "region-killed, regional",
    };
    let mut stage = Stage::set(deployment, name, plan).await?;
    let killed = Instant::now();
    stage.tell("killing the region");
    let parts = parts(&stage, region);
    for target in &parts {
        match stage.deployment.kill(*target).await {
            Err(error) if error.is::<NotHere>() => stage.verdict.leave_out(format!("{target} stays: {error}")),
            killed => killed?,
        }
    }
    let others = stage.others(region);
    let scene = stage.scene.clone();
    let lost_connection = |number: usize| scene.members[number].at == region;
    let is_back = |number: usize, journal: &Journal| {
        // A connection that broke is noticed before anything else can come.
        !lost_connection(number) || (journal.outages.iter().any(|o| o.began >= killed) && journal.is_connected())
    };
    stage.audience.wait(FAILOVER_WATCHED, is_back).await;
    stage.tell("everybody is back, or the time is up");
    stage.goes_on(&others, OTHERS, "while the region is dead").await;
    let goes_on = stage.load.acknowledged_since(killed + FAILOVER, &[region]) > 0
        || stage.load.wait_for_more(&[region], 1, FAILOVER_WATCHED).await;
    stage.tell("looking for what is lost");
    let before_return = Instant::now();
    let survivors = survivors(&stage, &others, goes_on).await;

    stage.tell("starting the region again");
    for target in parts.iter().rev() {
        match stage.start(*target).await {
            Err(error) if error.is::<NotHere>() => {}
            started => started?,
        }
    }
    let all = stage.all();
    stage.goes_on(&all, RETURN, "after the region's return").await;
    let (record, mut verdict) = stage.take_down().await;
    let excused = judge_loss(&record, &mut verdict, &survivors, region, killed, promise);
    judge_always(&record, &mut verdict, &excused);
    let late = record.away_for_longer(FAILOVER, killed, lost_connection);
    verdict.check("users of the dead region are back within 15 s", late);
    let pause = record.longest_pause(region, killed, before_return);
    let broken = if pause <= FAILOVER { Vec::new() } else { vec![format!("nothing for {}", milliseconds(pause))] };
    verdict.check("guilds of the dead region go on within 15 s", broken);
    verdict.figure("longest time without a connection", record.longest_outage(killed));
    for other in others {
        let pause = record.longest_pause(other, killed, before_return);
        let name = &record.layout.regions[other].name;
        verdict.figure(&format!("longest pause between acknowledgements in guilds of {name}"), milliseconds(pause));
    }
    Ok(verdict)
}

/// All of a region, in the order in which it is ended.
fn parts<D: Deployment>(stage: &Stage<'_, D>, region: usize) -> Vec<Target> {
    let mut parts: Vec<Target> = stage.processes().into_iter().filter(|target| target.region == region).collect();
    parts.sort_by_key(|target| target.role == crate::deployment::Role::Node);
    parts.extend([Target::bus(region), Target::database(region)]);
    parts
}

/// What the others show of everything while the region is dead; nothing where its guilds do not go on anyway.
async fn survivors<D: Deployment>(stage: &Stage<'_, D>, others: &[usize], goes_on: bool) -> Vec<Pages> {
    if !goes_on {
        return Vec::new();
    }
    pages(&stage.layout, &stage.scene, stage.load.history(), others).await.0
}

/// Prints the recovery point, and returns what may be lost by it.
fn judge_loss(
    record: &Record,
    verdict: &mut Verdict,
    survivors: &[Pages],
    region: usize,
    killed: Instant,
    promise: Promise,
) -> HashSet<u64> {
    let shown: HashSet<u64> = survivors.iter().flat_map(|pages| pages.values().flatten()).map(|(id, _)| *id).collect();
    let at_risk = record.said.posts.iter().filter(|post| record.scene.rooms[post.room].home == region);
    let acknowledged: Vec<_> =
        at_risk.filter_map(|post| Some((post.message_id()?, post))).filter(|(_, post)| post.ended <= killed).collect();
    if survivors.is_empty() {
        verdict.check(
            "the others show what the dead region had acknowledged",
            vec!["none of it, while it is dead".into()],
        );
        return HashSet::new();
    }
    let lost: Vec<_> = acknowledged.iter().filter(|(id, _)| !shown.contains(id)).collect();
    let point = lost.iter().map(|(_, post)| killed.saturating_duration_since(post.ended)).max().unwrap_or_default();
    verdict.figure(
        "recovery point",
        format!("{} of {} messages acknowledged there, {}", lost.len(), acknowledged.len(), milliseconds(point)),
    );
    let limit = match promise {
        Promise::Global => Duration::ZERO,
        Promise::Regional { recovery_point } => recovery_point,
    };
    let beyond = lost
        .iter()
        .filter(|(_, post)| promise == Promise::Global || killed.saturating_duration_since(post.ended) > limit);
    let broken = beyond.map(|(id, post)| format!("{id} ({:?}) of channel {}", post.content, post.channel_id)).collect();
    match promise {
        Promise::Global => verdict.check("nothing acknowledged is lost with the region", broken),
        Promise::Regional { .. } => {
            verdict.figure("stated recovery point", milliseconds(limit));
            verdict.check("no more is lost with the region than the stated recovery point", broken);
        }
    }
    match promise {
        Promise::Global => HashSet::new(),
        Promise::Regional { .. } => lost.iter().map(|(id, _)| *id).collect(),
    }
}
