//! `regional` durability: a data centre is killed, the others serve on, and after repair all hold the same.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rookery_core_db::{Durability, MessageRange, Store};
use rookery_model::{ChannelId, MessageId};
use rookery_test_database::{Home, Kind, Ledger, Load, Plan, Post, differences, digest_of, say};

use crate::stage;

const DCS: [&str; 3] = ["dc1", "dc2", "dc3"];
/// Batches that a home has acknowledged before and after the data centre is killed.
const EACH: u64 = 400;

/// What of a dead region cannot be seen elsewhere.
struct RecoveryPoint {
    messages: usize,
    /// From the first message that is missing to the kill.
    writing: Duration,
}

async fn recovery_point(store: &Store, channels: &[ChannelId], posts: &[Post], killed: Instant) -> RecoveryPoint {
    let mut seen: BTreeSet<MessageId> = BTreeSet::new();
    for channel_id in channels {
        let page = store.messages(*channel_id, MessageRange::Latest, 1_000_000).await.unwrap();
        seen.extend(page.iter().map(|message| message.id));
    }
    let missing: Vec<&Post> = posts.iter().filter(|post| !seen.contains(&post.message_id)).collect();
    let first = missing.iter().map(|post| post.at).min();
    let writing = first.map_or(Duration::ZERO, |first| killed.saturating_duration_since(first));
    RecoveryPoint { messages: missing.len(), writing }
}

/// The survivors read and write at LOCAL_QUORUM without an error. Claims are everybody's affair.
fn must_be_untroubled(ledger: &Ledger) {
    let troubles = ledger.troubles_of(&[1, 2]);
    let local: Vec<_> = troubles.iter().filter(|trouble| trouble.kind != Kind::Claim).collect();
    assert!(local.is_empty(), "the survivors met {local:#?}");
}

#[test]
fn the_others_serve_on_when_a_data_centre_is_killed_and_all_agree_after_repair() {
    let Some(stage) = stage("regional", 3, 1) else { return };
    let homes = DCS.map(|name| Home { name, store: stage.open(name, Durability::Regional) });
    let observers = ["dc2", "dc3"].map(|dc| (dc, stage.observe(dc, Durability::Regional)));
    let load = Load::start(&stage, &homes, Plan { writers: 4, readers: 2, ..Plan::new(2) });
    let ledger = load.ledger().clone();
    stage.block_on(ledger.wait_for_more(&[0, 1, 2], EACH));

    let killed = Instant::now();
    stage.kill_dc("dc1");
    let posts = ledger.standing_posts(0);
    for (dc, observer) in &observers {
        let point = stage.block_on(recovery_point(observer, &load.channels(0), &posts, killed));
        say(&format!(
            "regional: recovery point: of {} messages acknowledged in dc1 {} were not to be seen in {dc}, {} ms of writing",
            posts.len(),
            point.messages,
            point.writing.as_millis()
        ));
    }
    stage.block_on(ledger.wait_for_more(&[1, 2], EACH));
    must_be_untroubled(&ledger);
    stage.cluster().start("dc1-1").unwrap();
    stage.block_on(ledger.wait_for_more(&[0, 1, 2], EACH));
    let verdict = load.end(&stage);
    must_be_untroubled(&ledger);

    stage.repair();
    let expected = stage.block_on(verdict.expected(stage.folder()));
    for dc in DCS {
        let own = stage.observe(dc, Durability::Regional);
        stage.block_on(verdict.read_all(&own));
        let found = stage.block_on(digest_of(&own));
        assert_eq!(differences(&expected, &found), Vec::<String>::new(), "in {dc}");
    }
    say(&format!("regional: {:?}", verdict.must_be_right()));
}
