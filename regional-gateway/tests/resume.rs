//! What a cut connection missed comes back, in order and once.

mod common;

use common::client::Heard;
use common::{ALL_PRIVILEGED, Client, World};
use rookery_model::DeviceId;
use serde_json::json;

#[tokio::test]
async fn what_was_missed_comes_in_order_and_once() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let mut client = world.online(&bot).await;
    let mut wanted = 0;
    // The client checks that numbers follow each other without gap over all its connections.
    for round in 0..10 {
        for _ in 0..20 {
            world.send(&ann, guild.channel, &wanted.to_string()).await.unwrap();
            wanted += 1;
        }
        // Some of them were received, some not; what the kernel holds is lost with the connection.
        for _ in 0..round {
            client.expect("MESSAGE_CREATE").await;
        }
        let seen = client.seq;
        let cut = client.cut();
        for _ in 0..5 {
            world.send(&ann, guild.channel, &wanted.to_string()).await.unwrap();
            wanted += 1;
        }
        client = cut.resume(&bot.token).await;
        let missed = 25 - round;
        for _ in 0..missed {
            client.expect("MESSAGE_CREATE").await;
        }
        client.expect("RESUMED").await;
        assert_eq!(client.seq, seen + missed + 1);
    }
    client.beat().await;
}

#[tokio::test]
async fn contents_are_complete_over_many_cuts() {
    let world = World::start().await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let mut client = world.online(&bot).await;
    const COUNT: usize = 400;
    let sender = async {
        for i in 0..COUNT {
            world.send(&ann, guild.channel, &i.to_string()).await.unwrap();
        }
    };
    let receiver = async {
        let mut next = 0;
        while next < COUNT {
            let payload = client.payload().await;
            match payload["t"].as_str() {
                Some("MESSAGE_CREATE") => {
                    assert_eq!(payload["d"]["content"], next.to_string());
                    next += 1;
                }
                Some("RESUMED") => {}
                other => panic!("unexpected {other:?}"),
            }
            if next % 37 == 36 {
                client = client.cut().resume(&bot.token).await;
            }
        }
    };
    tokio::join!(sender, receiver);
}

#[tokio::test]
async fn a_second_connection_takes_the_session_over() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let mut first = world.online(&ann).await;
    let mut second = Client::connect(world.running.gateway_addr, "/?v=10&encoding=json").await;
    second.seq = first.seq;
    let resume = json!({"token": ann.token, "session_id": first.session_id, "seq": first.seq});
    second.send(json!({"op": 6, "d": resume})).await;
    second.expect("RESUMED").await;
    assert_eq!(first.close_code().await, 4000);
    second.beat().await;
}

#[tokio::test]
async fn a_session_that_is_not_there_or_not_theirs_is_invalid() {
    let world = World::start().await;
    let (ann, bob) = (world.person("ann").await, world.person("bob").await);
    let hers = world.online(&ann).await;
    let other_device = world.region().accounts.issue(&ann.account, DeviceId::new(99), 1_700_000_000_000);
    for (token, session_id) in [
        (&bob.token, hers.session_id.clone()),
        (&other_device, hers.session_id.clone()),
        (&ann.token, "0".repeat(32)),
        (&ann.token, "x".into()),
    ] {
        let mut client = world.connect().await;
        client.send(json!({"op": 6, "d": {"token": token, "session_id": session_id, "seq": 0}})).await;
        assert_eq!(client.expect_op(9).await, false);
        // The same connection may identify instead.
        client.identify(token, 0).await;
    }
    // None of that was anything to the session.
    hers.cut().resume(&ann.token).await.expect("RESUMED").await;
}

#[tokio::test]
async fn a_number_from_the_future_is_refused_and_the_session_stays() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let client = world.online(&ann).await;
    let mut cut = client.cut();
    cut.seq += 100;
    assert_eq!(cut.resume(&ann.token).await.close_code().await, 4007);
    cut.seq -= 100;
    cut.resume(&ann.token).await.expect("RESUMED").await;
}

#[tokio::test]
async fn a_session_that_was_closed_by_its_client_is_over() {
    let world = World::start().await;
    let ann = world.person("ann").await;
    let mut client = world.online(&ann).await;
    client.send_raw(tokio_tungstenite::tungstenite::Message::Close(Some(close(1000)))).await;
    assert_eq!(client.close_code().await, 1000);
    let mut again = client.cut().resume(&ann.token).await;
    assert_eq!(again.expect_op(9).await, false);
}

#[tokio::test]
async fn nobody_waits_longer_than_the_resume_window() {
    let world = World::with(|config| config.gateway.session.resume_window_ms = 50).await;
    let ann = world.person("ann").await;
    let cut = world.online(&ann).await.cut();
    // Ends by itself; whoever comes later is told.
    while world.region().figures().sessions > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(cut.resume(&ann.token).await.expect_op(9).await, false);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_may_resume() {
    let world = World::with(|config| {
        config.gateway.session.unsent_max_events = 50;
        config.gateway.send_buffer_bytes = 4_096;
    })
    .await;
    let (ann, bot) = (world.person("ann").await, world.bot("bot", ALL_PRIVILEGED).await);
    let guild = world.guild(&[&ann, &bot]).await;
    let mut client = world.online(&bot).await;
    let text = "x".repeat(2_000);
    // It reads nothing while these are sent: more than kernel and session hold for it.
    let sent = 300;
    for _ in 0..sent {
        world.send(&ann, guild.channel, &text).await.unwrap();
    }
    let mut got = 0;
    let code = loop {
        match client.hear().await {
            Heard::Payload(_) => got += 1,
            Heard::Closed(code) => break code,
            Heard::Ended => panic!("no close frame after {got}"),
        }
    };
    assert_eq!(code, 4000);
    assert!(got < sent);
    let mut client = client.cut().resume(&bot.token).await;
    for _ in got..sent {
        client.expect("MESSAGE_CREATE").await;
    }
    client.expect("RESUMED").await;
}

fn close(code: u16) -> tokio_tungstenite::tungstenite::protocol::CloseFrame {
    tokio_tungstenite::tungstenite::protocol::CloseFrame { code: code.into(), reason: "".into() }
}
