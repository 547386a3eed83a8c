//! Datagrams to a socket with a browser on it: from strangers, and from where its checks came from.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use rookery_webrtc::{Certificate, Event, Offer, Received, WebRtcConfig, WebRtcEndpoint, WebRtcLimits};
use std::cell::RefCell;
use std::time::Instant;

#[derive(Arbitrary, Debug)]
struct Datagram {
    /// Which of two addresses it comes from.
    first: bool,
    passed_ms: u16,
    /// Whether it is made to be what a handshake begins with, or a check.
    form: u8,
    bytes: Vec<u8>,
}

const OFFER: &str = "a=ice-ufrag:Ab+1\na=ice-pwd:0123456789abcdefghijkl+/\na=rtpmap:111 opus/48000/2\n\
    a=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

thread_local! {
    static STATE: RefCell<(WebRtcEndpoint<()>, u64)> = RefCell::new((endpoint(), 0));
}

fn endpoint() -> WebRtcEndpoint<()> {
    let certificate = Certificate::generate().expect("a certificate");
    let candidates = vec!["192.0.2.1:50004".parse().expect("an address")];
    let config = WebRtcConfig { certificate, candidates, epoch: Instant::now(), limits: WebRtcLimits::default() };
    WebRtcEndpoint::new(config).expect("an endpoint")
}

fn shape(datagram: &mut Datagram, ufrag: &str) {
    let bytes = &mut datagram.bytes;
    match datagram.form % 3 {
        1 => {
            // A record of a handshake.
            let body = std::mem::take(bytes);
            bytes.extend([22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0]);
            bytes.extend((body.len() as u16).to_be_bytes());
            bytes.extend(body);
        }
        2 => {
            // A check that names the peer.
            let rest = std::mem::take(bytes);
            let name = format!("{ufrag}:Ab+1");
            bytes.extend([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
            bytes.extend([1; 12]);
            bytes.extend([0, 6]);
            bytes.extend((name.len() as u16).to_be_bytes());
            bytes.extend(name.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(rest);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            // An authentication code that is none, and the checksum that every check has.
            bytes.extend([0, 8, 0, 20]);
            bytes.extend([9; 20]);
            let length = (bytes.len() + 8 - 20) as u16;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            let sum = crc32(bytes) ^ 0x5354_554e;
            bytes.extend([0x80, 0x28, 0, 4]);
            bytes.extend(sum.to_be_bytes());
        }
        _ => {}
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum: u32, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

fuzz_target!(|datagrams: Vec<Datagram>| {
    STATE.with_borrow_mut(|(endpoint, now_ms)| {
        let offer = Offer::parse(OFFER).expect("an offer");
        let peer = endpoint.insert(*now_ms, offer.transport, ()).expect("randomness");
        let answer = Offer::parse(OFFER).expect("an offer").answer(&endpoint.local(peer).expect("it is there"));
        let ufrag = answer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).expect("a fragment").to_owned();
        for mut datagram in datagrams.into_iter().take(32) {
            *now_ms += u64::from(datagram.passed_ms);
            endpoint.handle_timeout(*now_ms);
            shape(&mut datagram, &ufrag);
            let port = if datagram.first { 40_000 } else { 40_001 };
            let from = ([198, 51, 100, 7], port).into();
            let bytes = datagram.bytes.len();
            match endpoint.handle_datagram(*now_ms, from, &mut datagram.bytes) {
                // Nobody knows the password, so nobody is answered, known, or believed.
                Received::Answer(answer) => panic!("{} bytes for {bytes}", answer.len()),
                Received::Rtp { .. } | Received::Rtcp { .. } => panic!("without keys"),
                Received::Handled | Received::Dropped(_) => {}
            }
            assert!(!endpoint.knows(from));
            assert!(endpoint.poll_transmit().is_none(), "sent to somebody who proved nothing");
            while let Some(event) = endpoint.poll_event() {
                assert!(matches!(event, Event::Gone(..)), "{event:?}");
            }
        }
        endpoint.remove(*now_ms, peer);
    });
});
