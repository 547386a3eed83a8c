//! Streams of the relay over each bus: nothing is missing, whatever the bus loses.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_bus::{Bus, BusConfig, Faults, LocalNetwork, Received, Subscription};
use rookery_relay::{Event, Link, RelayConfig};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::server::Server;
use crate::stage::{LIMIT, Stage, subject};

/// One end, driven by a task.
struct End {
    frames: mpsc::Sender<Bytes>,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

async fn end(bus: Bus, name: &'static str, peer: &'static str, incarnation: u64) -> End {
    let subscription = bus.subscribe(&subject(name)).await.unwrap();
    // The servers of these tests are away for longer than a peer may usually be.
    let config = Arc::new(RelayConfig { lost_after_ms: 60_000, ..RelayConfig::default() });
    let link = Link::new(config, name, incarnation, 0).unwrap();
    let (frames, to_send) = mpsc::channel(16);
    let (told, events) = mpsc::channel(16);
    let task = tokio::spawn(drive(bus, link, subscription, peer, to_send, told));
    End { frames, events, task }
}

async fn drive(
    bus: Bus,
    mut link: Link,
    mut subscription: Subscription,
    peer: &'static str,
    mut to_send: mpsc::Receiver<Bytes>,
    told: mpsc::Sender<Event>,
) {
    let start = Instant::now();
    let peer = subject(peer);
    loop {
        let now_ms = start.elapsed().as_millis() as u64;
        while let Some(packet) = link.poll_transmit(now_ms) {
            // What is not taken is lost, as on the way.
            bus.publish(&peer, packet).ok();
        }
        // Events stay in the link until there is room for them.
        while let Ok(permit) = told.try_reserve() {
            let Some(event) = link.poll_event() else { break };
            permit.send(event);
        }
        let wake = link.poll_timeout().map_or(start + LIMIT * 10, |at_ms| start + Duration::from_millis(at_ms));
        let has_events = link.stats().events > 0;
        tokio::select! {
            received = subscription.recv() => match received {
                Some(Received::Message(packet)) => {
                    link.handle_packet(start.elapsed().as_millis() as u64, packet).ok();
                }
                Some(Received::Lost(_) | Received::Interrupted) => {}
                None => return,
            },
            frame = to_send.recv(), if !link.is_full() => match frame {
                Some(frame) => link.send(start.elapsed().as_millis() as u64, frame).unwrap(),
                None => return,
            },
            _ = told.reserve(), if has_events => {}
            () = sleep_until(wake) => {}
        }
        link.handle_timeout(start.elapsed().as_millis() as u64);
    }
}

/// A frame with a number, some of them larger than the bus takes in one message.
fn frame(number: u32) -> Bytes {
    let size = if number.is_multiple_of(100) { 1_500_000 } else { 4 + number as usize % 300 };
    let mut frame = number.to_be_bytes().to_vec();
    frame.resize(size, number as u8);
    frame.into()
}

/// Sends numbered frames one way; all of them come, in order, whatever happens after each of them.
async fn all_arrive(a: Bus, b: Bus, frames: u32, mut after: impl AsyncFnMut(u32)) {
    let (a, mut b) = (end(a, "a", "b", 10).await, end(b, "b", "a", 20).await);
    let sending = async {
        for number in 0..frames {
            a.frames.send(frame(number)).await.unwrap();
        }
    };
    let receiving = async {
        let mut next = 0;
        while next < frames {
            match timeout(LIMIT, b.events.recv()).await.expect("nothing comes").expect("the end is there") {
                Event::Frame(got) => {
                    assert!(got == frame(next), "not frame {next}");
                    after(next).await;
                    next += 1;
                }
                Event::Up { .. } | Event::Down => {}
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::join!(sending, receiving);
    for end in [a, b] {
        end.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_whole_over_a_local_bus_with_faults() {
    let network = LocalNetwork::new();
    let (a, b) = (Bus::local(&network, "a"), Bus::local(&network, "b"));
    network.set_faults(Faults {
        seed: 5,
        drop_permille: 150,
        repeat_permille: 100,
        reorder_permille: 100,
        delay_permille: 200,
        delay_max_ms: 30,
    });
    let cut = async |number| {
        if number == 300 || number == 900 {
            network.set_connected("b", false);
            tokio::time::sleep(Duration::from_millis(100)).await;
            network.set_connected("b", true);
        }
    };
    all_arrive(a, b, 1_500, cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_whole_over_a_server_that_is_killed() {
    let Some(server) = Server::start("").await else { return };
    let mut stage = Stage::Nats(Box::new(server));
    let (a, b) = (stage.node("a", BusConfig::default()).await, stage.node("b", BusConfig::default()).await);
    let kill = async |number| {
        if number == 700 || number == 1_900 {
            stage.cut().await;
            stage.heal().await;
        }
    };
    all_arrive(a, b, 3_000, kill).await;
}
