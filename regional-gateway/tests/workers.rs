//! Sessions divided among workers: nothing is lost between owner and session, and nobody is remembered who is gone.

mod common;

use std::time::{Duration, Instant};

use common::World;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again until it is so.
async fn until<F: Future<Output = bool>>(mut is_so: impl FnMut() -> F) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "it does not come to pass");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_of_one_lose_nothing_and_keep_the_order() {
    const SESSIONS: usize = 20;
    const MESSAGES: usize = 200;
    let world = World::with(|config| {
        config.gateway.workers = Some(3);
        config.gateway.inbox_capacity = 1;
        config.gateway.sessions_per_user = SESSIONS;
        config.gateway.identify_per_day = None;
    })
    .await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(world.online(&ann).await);
    }
    let send = async |n: usize| {
        // As a caller does who is told that the region has too much to do.
        loop {
            match world.send(&ann, guild.channel, &n.to_string()).await {
                Err(error) if error.status == 503 => tokio::task::yield_now().await,
                sent => return sent.unwrap(),
            }
        }
    };
    let all_sent = futures_util::future::join_all((0..MESSAGES).map(send));
    let all_received = futures_util::future::join_all(clients.iter_mut().map(async |client| {
        let mut ids = Vec::new();
        for _ in 0..MESSAGES {
            ids.push(client.expect("MESSAGE_CREATE").await["id"].as_str().unwrap().parse::<u64>().unwrap());
        }
        ids
    }));
    let (mut sent, received) = tokio::join!(all_sent, all_received);
    sent.sort_unstable();
    let sent: Vec<u64> = sent.into_iter().map(|id| id.get()).collect();
    for ids in received {
        assert_eq!(ids, sent);
    }
}

#[tokio::test]
async fn sessions_that_end_together_are_forgotten_by_their_guild_and_user() {
    const SESSIONS: usize = 40;
    let world = World::with(|config| {
        config.owners.mailbox_capacity = 2;
        config.gateway.subscribe_concurrency = 1;
        config.gateway.identify_per_day = None;
    })
    .await;
    let ann = world.person("ann").await;
    let guild = world.guild(&[&ann]).await;
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(world.online(&ann).await);
    }
    assert_eq!(world.region().figures().sessions as usize, SESSIONS);
    for client in &mut clients {
        let close = CloseFrame { code: 1000.into(), reason: "".into() };
        client.send_raw(Message::Close(Some(close))).await;
    }
    until(async || world.region().figures().sessions == 0).await;
    until(async || {
        let owner = world.region().owners.guild(guild.id).await.unwrap();
        owner.query(|core| !core.has_subscribers()).await.unwrap_or(false)
    })
    .await;
    until(async || {
        let owner = world.region().owners.user(ann.id()).await.unwrap();
        owner.query(|core| core.session_count() == 0).await.unwrap_or(false)
    })
    .await;
}

#[tokio::test]
async fn sessions_that_end_before_they_began_are_forgotten() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    world.guild(&[&ann]).await;
    for _ in 0..30 {
        let mut client = world.connect().await;
        client.feed(common::client::identify(&ann.token, common::ALL_INTENTS)).await;
        client.feed_raw(Message::Close(Some(CloseFrame { code: 1000.into(), reason: "".into() }))).await;
        client.flush().await;
        client.close_code().await;
    }
    until(async || world.region().figures().sessions == 0).await;
    until(async || {
        let owner = world.region().owners.user(ann.id()).await.unwrap();
        owner.query(|core| core.session_count() == 0).await.unwrap_or(false)
    })
    .await;
}
