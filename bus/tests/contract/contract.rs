//! What both engines promise.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rookery_bus::{BusConfig, Health, MAX_PAYLOAD_BYTES, PublishError, Received, Subject, SubscribeError};

use crate::stage::{Stage, becomes, next, next_message, settle, subject};

/// One test on each engine.
macro_rules! contract {
    ($($name:ident)*) => {
        mod local {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Stage::local()).await;
            })*
        }
        mod nats {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(stage) = super::Stage::nats().await {
                    super::$name(stage).await;
                }
            })*
        }
    };
}

contract! {
    a_message_reaches_everybody_who_is_subscribed_to_its_subject_and_nobody_else
    messages_of_one_publisher_arrive_once_and_in_order
    a_slow_subscriber_loses_messages_is_told_how_many_and_is_in_nobodys_way
    what_is_too_large_is_refused_with_its_size_and_the_limit
    what_was_taken_is_sent_before_the_bus_closes
    a_subscription_that_is_dropped_ends
    a_bus_that_is_cut_says_so_and_goes_on_when_it_is_back
}

fn numbered(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

async fn a_message_reaches_everybody_who_is_subscribed_to_its_subject_and_nobody_else(mut stage: Stage) {
    let a = stage.node("a", BusConfig::default()).await;
    let b = stage.node("b", BusConfig::default()).await;
    let region = Subject::region("test", "eu").unwrap();
    let mut of_a = a.subscribe(&subject("a")).await.unwrap();
    let mut of_b = b.subscribe(&subject("b")).await.unwrap();
    let mut all = [a.subscribe(&region).await.unwrap(), b.subscribe(&region).await.unwrap()];
    settle(&b, &subject("a"), &mut of_a).await;
    settle(&a, &subject("b"), &mut of_b).await;
    for subscription in &mut all {
        settle(&a, &region, subscription).await;
    }

    b.publish(&subject("a"), Bytes::from_static(b"for a")).unwrap();
    a.publish(&Subject::node("test", "us", "a").unwrap(), Bytes::from_static(b"another region")).unwrap();
    a.publish(&Subject::node("other", "eu", "a").unwrap(), Bytes::from_static(b"another deployment")).unwrap();
    a.publish(&region, Bytes::from_static(b"for all")).unwrap();
    a.publish(&subject("a"), Bytes::from_static(b"for myself")).unwrap();

    for subscription in &mut all {
        assert_eq!(next_message(subscription).await, "for all");
    }
    let mut got = [next_message(&mut of_a).await, next_message(&mut of_a).await];
    got.sort();
    assert_eq!(got, ["for a", "for myself"], "those of two publishers come in any order");
    assert_eq!(of_b.try_recv(), None);
}

async fn messages_of_one_publisher_arrive_once_and_in_order(mut stage: Stage) {
    let a = stage.node("a", BusConfig::default()).await;
    let b = stage.node("b", BusConfig::default()).await;
    let mut subscription = b.subscribe(&subject("b")).await.unwrap();
    settle(&a, &subject("b"), &mut subscription).await;
    for number in 0..3_000 {
        a.publish(&subject("b"), numbered(number)).unwrap();
    }
    for number in 0..3_000 {
        assert_eq!(next(&mut subscription).await, Some(Received::Message(numbered(number))));
    }
    a.publish(&subject("b"), Bytes::from_static(b"last")).unwrap();
    assert_eq!(next_message(&mut subscription).await, "last", "no message came twice");
}

async fn a_slow_subscriber_loses_messages_is_told_how_many_and_is_in_nobodys_way(mut stage: Stage) {
    let a = stage.node("a", BusConfig::default()).await;
    let b = stage.node("b", BusConfig { subscription_queue_messages: 10, ..BusConfig::default() }).await;
    let (mut quick, mut slow) = (a.subscribe(&subject("x")).await.unwrap(), b.subscribe(&subject("x")).await.unwrap());
    settle(&a, &subject("x"), &mut slow).await;
    settle(&a, &subject("x"), &mut quick).await;
    for number in 0..1_000 {
        a.publish(&subject("x"), numbered(number)).unwrap();
    }
    for number in 0..1_000 {
        assert_eq!(next_message(&mut quick).await, numbered(number), "the slow one is in the way");
    }
    // All but what it has room for are lost, and the loss is told behind what came before.
    let (mut seen, mut lost) = (0_u64, 0_u64);
    let mut before = None;
    while seen + lost < 1_000 {
        match next(&mut slow).await {
            Some(Received::Message(payload)) if payload.len() == 8 => {
                let number = u64::from_be_bytes(payload[..].try_into().unwrap());
                assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
                before = Some(number);
                seen += 1;
            }
            // Of the settling.
            Some(Received::Message(_)) => {}
            Some(Received::Lost(count)) => lost += count,
            other => panic!("{other:?}"),
        }
    }
    assert!(seen > 0 && lost > 0, "{seen} and {lost}");
}

async fn what_is_too_large_is_refused_with_its_size_and_the_limit(mut stage: Stage) {
    let a = stage.node("a", BusConfig::default()).await;
    let mut subscription = a.subscribe(&subject("a")).await.unwrap();
    settle(&a, &subject("a"), &mut subscription).await;
    assert_eq!(a.max_payload_bytes(), MAX_PAYLOAD_BYTES);
    let error = a.publish(&subject("a"), Bytes::from(vec![0; MAX_PAYLOAD_BYTES + 1])).unwrap_err();
    assert_eq!(error, PublishError::TooLarge { size: MAX_PAYLOAD_BYTES + 1, limit: MAX_PAYLOAD_BYTES });
    assert_eq!(error.to_string(), "a message of 1048577 bytes; the bus takes 1048576");
    a.publish(&subject("a"), Bytes::from(vec![1; MAX_PAYLOAD_BYTES])).unwrap();
    a.publish(&subject("a"), Bytes::new()).unwrap();
    assert_eq!(next_message(&mut subscription).await, vec![1; MAX_PAYLOAD_BYTES]);
    assert_eq!(next_message(&mut subscription).await, "");
}

async fn what_was_taken_is_sent_before_the_bus_closes(mut stage: Stage) {
    let a = stage.node("a", BusConfig::default()).await;
    let b = stage.node("b", BusConfig::default()).await;
    let mut own = a.subscribe(&subject("a")).await.unwrap();
    let mut subscription = b.subscribe(&subject("b")).await.unwrap();
    settle(&a, &subject("b"), &mut subscription).await;
    for number in 0..500 {
        a.publish(&subject("b"), numbered(number)).unwrap();
    }
    a.drain(Duration::from_secs(20)).await;
    for number in 0..500 {
        assert_eq!(next_message(&mut subscription).await, numbered(number));
    }
    assert_eq!(a.health(), Health::Closed);
    assert_eq!(a.publish(&subject("b"), Bytes::new()), Err(PublishError::Closed));
    assert!(matches!(a.subscribe(&subject("a")).await, Err(SubscribeError::Closed)));
    assert_eq!(next(&mut own).await, None);
    // Once more is nothing to wait for, and the other node goes on.
    a.drain(Duration::from_secs(20)).await;
    settle(&b, &subject("b"), &mut subscription).await;
}

async fn a_subscription_that_is_dropped_ends(mut stage: Stage) {
    let a = stage.node("a", BusConfig::default()).await;
    let mut subscription = a.subscribe(&subject("a")).await.unwrap();
    settle(&a, &subject("a"), &mut subscription).await;
    drop(subscription);
    // Another one starts without what the first one had.
    a.publish(&subject("a"), Bytes::from_static(b"for nobody")).unwrap();
    let mut other = a.subscribe(&subject("a")).await.unwrap();
    settle(&a, &subject("a"), &mut other).await;
    a.publish(&subject("a"), Bytes::from_static(b"next")).unwrap();
    assert_eq!(next(&mut other).await, Some(Received::Message(Bytes::from_static(b"next"))));
}

async fn a_bus_that_is_cut_says_so_and_goes_on_when_it_is_back(mut stage: Stage) {
    let a = stage.node("a", BusConfig::default()).await;
    let b = stage.node("b", BusConfig::default()).await;
    let mut subscription = b.subscribe(&subject("b")).await.unwrap();
    settle(&a, &subject("b"), &mut subscription).await;
    for _ in 0..2 {
        stage.cut().await;
        becomes(&a, Health::Disconnected).await;
        becomes(&b, Health::Disconnected).await;
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(a.publish(&subject("b"), Bytes::from_static(b"lost")), Err(PublishError::Disconnected));
        }
        assert!(start.elapsed() < Duration::from_secs(1), "nobody waits for a server that is not there");
        assert_eq!(next(&mut subscription).await, Some(Received::Interrupted));
        stage.heal().await;
        becomes(&a, Health::Connected).await;
        becomes(&b, Health::Connected).await;
        settle(&a, &subject("b"), &mut subscription).await;
    }
}
