//! Every process is replaced, one after the other, and nobody notices.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::deployment::Deployment;
use crate::stage::{Plan, Stage, judge_always};
use crate::verdict::{Verdict, milliseconds};

/// How long a guild may acknowledge nothing while its node is replaced.
const PATIENCE: Duration = Duration::from_secs(60);

/// Drains, replaces and waits for the health of each node, then of each point of presence, under load.
pub async fn rolling_update<D: Deployment>(deployment: &mut D, plan: Plan) -> anyhow::Result<Verdict> {
    // Nothing is sent elsewhere: a process that is replaced is back before name servers act.
    let plan = Plan { url_patience: PATIENCE, ..plan };
    let mut stage = Stage::set(deployment, "rolling-update", plan).await?;
    let began = Instant::now();
    let (mut badly_ended, mut slowest_end, mut slowest_start) = (Vec::new(), Duration::ZERO, Duration::ZERO);
    for target in stage.processes() {
        stage.tell(&format!("replacing {target}"));
        let ending = Instant::now();
        if let Err(error) = stage.deployment.end(target).await {
            badly_ended.push(format!("{error:#}"));
        }
        slowest_end = slowest_end.max(ending.elapsed());
        let starting = Instant::now();
        stage.start(target).await?;
        slowest_start = slowest_start.max(starting.elapsed());
    }
    let ended = Instant::now();
    stage.verdict.check("every process drains in good order", badly_ended);
    let all = stage.all();
    stage.goes_on(&all, PATIENCE, "after the update").await;
    let (record, mut verdict) = stage.take_down().await;
    judge_always(&record, &mut verdict, &HashSet::new());
    verdict.check("no client lost a message", record.losses());
    verdict.check("no client got a message twice", record.repeated_to_clients());
    verdict.check("no client had to IDENTIFY anew", record.identified_anew());
    verdict.check("everything that somebody wanted to say was acknowledged", record.said.given_up.clone());
    verdict.figure("slowest drain", milliseconds(slowest_end));
    verdict.figure("slowest start", milliseconds(slowest_start));
    verdict.figure("longest time without a connection", record.longest_outage(began));
    for (region, layout) in record.layout.regions.iter().enumerate() {
        let pause = record.longest_pause(region, began, ended);
        verdict.figure(
            &format!("longest pause between acknowledgements in guilds of {}", layout.name),
            milliseconds(pause),
        );
    }
    Ok(verdict)
}
