//! Clients of every encoding and compression read the same long stream of events without error.
//!
//! `DECODE_EVENTS=1000000` runs a million through each; by default it is a few thousand.

#[path = "behaviour/common.rs"]
mod common;
mod corpus;

use common::*;
use corpus::Corpus;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rookery_session::{Encoding, Payload, Session, SessionConfig, ZlibMode, cbor, etf};
use serde_json::Value;
use std::sync::Arc;

const EVENTS: usize = 3_000;
/// Events of which each is sent several times, in any order.
const POOL: usize = 500;

struct Client {
    query: String,
    encoding: Encoding,
    session: Session,
    reader: Reader,
    seq: u64,
}

fn clients() -> Vec<Client> {
    // They acknowledge more often than the limit allows.
    let shared = SessionConfig { rate_events: None, ..SessionConfig::default() };
    let context = SessionConfig { zlib: ZlibMode::Context, ..shared.clone() };
    let streams = [
        ("", &shared),
        ("&compress=zlib-stream", &shared),
        ("&compress=zlib-stream", &context),
        ("&compress=zstd-stream", &shared),
    ];
    let make = |encoding: &str, compress: &str, config: &SessionConfig| {
        let query = format!("encoding={encoding}{compress}");
        let (session, reader) = session_with(&query, ALL_INTENTS, Arc::new(config.clone()));
        Client { encoding: params(&query).encoding, query, session, reader, seq: 0 }
    };
    ["json", "etf", "cbor"]
        .iter()
        .flat_map(|encoding| streams.iter().map(|(compress, config)| make(encoding, compress, config)))
        .collect()
}

fn data(payload: &Payload, encoding: Encoding) -> Value {
    let bytes = payload.data_for(encoding, BOT, None);
    match encoding {
        Encoding::Json => serde_json::from_slice(&bytes).expect("JSON"),
        Encoding::Etf => etf::from_term(&bytes).expect("ETF"),
        Encoding::Cbor => cbor::from_slice(&bytes).expect("CBOR"),
    }
}

#[test]
fn every_stream_is_read_without_error() {
    let events = std::env::var("DECODE_EVENTS").map_or(EVENTS, |text| text.parse().expect("a number"));
    let mut corpus = Corpus::new(11);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut clients = clients();
    let large = ready(&"large ".repeat(50_000));
    let mut sent = 0;
    while sent < events {
        let pool: Vec<_> = (0..POOL).map(|_| Payload::new(corpus.event())).collect();
        let batch: Vec<_> = (0..(3 * POOL).min(events - sent)).map(|_| rng.random_range(0..POOL)).collect();
        sent += batch.len();
        for client in &mut clients {
            let expected: Vec<_> = pool.iter().map(|payload| data(payload, client.encoding)).collect();
            for place in &batch {
                client.session.handle_dispatch(Arc::clone(&pool[*place]));
                client.receive(Some(&expected[*place]));
            }
            client.session.handle_own_dispatch(&large);
            client.receive(None);
            // What was read is not kept.
            let heartbeat = serde_json::json!({"op": 1, "d": client.seq});
            client.session.handle_frame(0, rookery_session::Frame::Binary(&encode(client.encoding, &heartbeat)));
            client.reader.read(&client.session.poll_transmit().expect("an answer"));
            while client.session.poll_action().is_some() {}
        }
    }
    assert!(clients.iter().all(|client| client.seq >= events as u64));
    println!("{events} events and more in each of {} streams", clients.len());
}

impl Client {
    fn receive(&mut self, expected: Option<&Value>) {
        let transmit = self.session.poll_transmit().expect("an event");
        let payload = self.reader.read(&transmit);
        self.seq += 1;
        assert_eq!(payload["s"], self.seq, "{}", self.query);
        match expected {
            Some(data) => assert_eq!(&payload["d"], data, "{}", self.query),
            None => assert_eq!(payload["t"], "READY", "{}", self.query),
        }
    }
}
