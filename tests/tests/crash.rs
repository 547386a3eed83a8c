//! `kill -9` at random moments under load: what was acknowledged is there afterwards, in order, once.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rookery_tests::{Person, Rookery, Seed};
use serde_json::json;
use tokio::task::JoinSet;

const ROUNDS: usize = 20;
const WRITERS: usize = 8;

/// A message that the server acknowledged.
#[derive(Clone, Debug)]
struct Acknowledged {
    id: u64,
    content: String,
}

/// Posts until the server is gone; what it acknowledged, in the order of acknowledgement.
async fn write_until_gone(person: Person, channel_id: String, label: String) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let content = format!("{label}-{n}");
        let body = json!({ "content": content });
        let Ok(message) = person.post(&format!("/channels/{channel_id}/messages"), &body).await else { break };
        let Some(id) = message["id"].as_str().and_then(|id| id.parse().ok()) else { break };
        acknowledged.push(Acknowledged { id, content });
    }
    acknowledged
}

/// All messages of the channel, oldest first.
async fn stored(person: &Person, channel_id: &str) -> anyhow::Result<Vec<Acknowledged>> {
    let mut all = Vec::new();
    let mut before = String::new();
    loop {
        let page = person.get(&format!("/channels/{channel_id}/messages?limit=100{before}")).await?;
        let page = page.as_array().context("a page is a list")?;
        for message in page {
            let id = message["id"].as_str().and_then(|id| id.parse().ok()).context("an id")?;
            all.push(Acknowledged { id, content: message["content"].as_str().context("a content")?.to_owned() });
        }
        match all.last() {
            Some(oldest) if !page.is_empty() => before = format!("&before={}", oldest.id),
            _ => break,
        }
    }
    all.reverse();
    Ok(all)
}

fn verify(acknowledged: &[Acknowledged], stored: &[Acknowledged]) -> anyhow::Result<()> {
    ensure!(stored.windows(2).all(|pair| pair[0].id < pair[1].id), "the channel is not in the order of ids");
    let mut by_content: HashMap<&str, Vec<u64>> = HashMap::new();
    for message in stored {
        by_content.entry(&message.content).or_default().push(message.id);
    }
    for (content, ids) in &by_content {
        ensure!(ids.len() == 1, "{content} is stored {} times", ids.len());
    }
    for message in acknowledged {
        let found = by_content.get(message.content.as_str());
        ensure!(found == Some(&vec![message.id]), "{message:?} was acknowledged; stored: {found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_messages_survive_kill_9() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let extra = ["--set", "limits=off"];
    let seed_value: u64 = rand::rng().random();
    // Printed so that a failing round can be played again.
    println!("seed {seed_value}");
    let mut random = ChaCha8Rng::seed_from_u64(seed_value);
    let mut seed: Option<Seed> = None;
    let mut acknowledged: Vec<Acknowledged> = Vec::new();

    for round in 0..ROUNDS {
        let rookery = Rookery::start(&data_dir, &extra).await?;
        if seed.is_none() {
            seed = Some(rookery.seed(WRITERS).await?);
        }
        let seed = seed.as_ref().context("seeded")?;
        let api = rookery.api()?.to_owned();
        let reader = Person::new(&api, &seed.owner.0, &seed.owner.1);
        let result = verify(&acknowledged, &stored(&reader, &seed.channel_id).await?);
        result.with_context(|| format!("after round {round}, seed {seed_value}\n{}", rookery.log()))?;

        let mut writers = JoinSet::new();
        for (n, (id, token)) in seed.users.iter().enumerate() {
            let person = Person::new(&api, id, token);
            writers.spawn(write_until_gone(person, seed.channel_id.clone(), format!("{round}-{n}")));
        }
        // A random moment of the load is what this test is about.
        tokio::time::sleep(Duration::from_millis(random.random_range(20..900))).await;
        rookery.kill().await?;
        for written in writers.join_all().await {
            ensure!(written.windows(2).all(|pair| pair[0].id < pair[1].id), "one writer's ids do not increase");
            acknowledged.extend(written);
        }
    }

    let rookery = Rookery::start(&data_dir, &extra).await?;
    let seed = seed.context("seeded")?;
    let reader = Person::new(rookery.api()?, &seed.owner.0, &seed.owner.1);
    let stored = stored(&reader, &seed.channel_id).await?;
    verify(&acknowledged, &stored).with_context(|| format!("seed {seed_value}\n{}", rookery.log()))?;
    println!("{} acknowledged, {} stored, {ROUNDS} rounds", acknowledged.len(), stored.len());
    ensure!(acknowledged.len() > ROUNDS * WRITERS, "the load was too small to mean anything");
    ensure!(rookery.terminate().await? == Some(0), "SIGTERM ends with 0");
    Ok(())
}
