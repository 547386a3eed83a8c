//! `regional` durability: a data centre is killed, the others serve on, and after repair all hold the same.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rookery_core_db::{Durability, MessageRange, Store};
use rookery_model::guild::GuildProperties;
use rookery_model::id::EPOCH_MS;
use rookery_model::invite::InviteRow;
use rookery_model::store::Write;
use rookery_model::{ChannelId, GuildId, MessageId, Snowflake, Timestamp, UserId};
use rookery_test_database::{Home, Kind, Ledger, Load, Plan, Post, Stage, differences, digest_of, say};

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

fn invite(code: &str) -> InviteRow {
    InviteRow {
        code: code.into(),
        guild_id: GuildId::new(1),
        channel_id: ChannelId::new(2),
        inviter_id: None,
        uses: 0,
        max_uses: 0,
        max_age: 0,
        temporary: false,
        created_at: Timestamp(1),
    }
}

/// Rows that a data centre missed, and gets no hints of: one that may be new is looked for at a majority of all.
///
/// Comes last: it leaves one data centre of three.
fn a_row_that_is_not_near_is_looked_for_farther_off(stage: &Stage) {
    for node in ["dc1-1", "dc3-1"] {
        stage.cluster().nodetool(node, &["disablehandoff"]).unwrap();
    }
    stage.kill_dc("dc2");
    // Acknowledged by the two that are left: whichever of them is asked has both rows.
    let writer = stage.open("dc1", Durability::Global);
    let guild = GuildProperties::new(GuildId(Snowflake::floor_of_ms(EPOCH_MS + 1)), "of long ago", UserId::new(1));
    let rows = vec![Write::PutInvite(invite("missed")), Write::PutGuild(guild.clone())];
    stage.block_on(writer.write(rows)).unwrap();
    stage.cluster().start("dc2-1").unwrap();

    let near = stage.observe("dc2", Durability::Regional);
    // Made so long ago that everybody would have heard of it: what is near counts, and it is not near.
    assert_eq!(stage.block_on(near.guild(guild.id)), Ok(None));
    let anywhere = stage.observe("dc2", Durability::Global);
    // An invite does not say when it was made.
    assert_eq!(stage.block_on(near.invite("missed")), Ok(Some(invite("missed"))));
    assert_eq!(stage.block_on(near.invite("never made")), Ok(None));
    assert_eq!(stage.block_on(anywhere.guild(guild.id)), Ok(Some(guild)));

    stage.kill_dc("dc1");
    stage.kill_dc("dc3");
    // No majority: what is not near is not there, and that is no error.
    assert_eq!(stage.block_on(near.invite("never made")), Ok(None));
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
    a_row_that_is_not_near_is_looked_for_farther_off(&stage);
}
