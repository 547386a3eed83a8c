//! Offers of browsers: whatever one says, the answer has no line of its making.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_webrtc::{Certificate, Offer, WebRtcConfig, WebRtcEndpoint, WebRtcLimits};
use std::cell::RefCell;
use std::time::Instant;

thread_local! {
    static ENDPOINT: RefCell<WebRtcEndpoint<()>> = RefCell::new(endpoint());
}

fn endpoint() -> WebRtcEndpoint<()> {
    let certificate = Certificate::generate().expect("a certificate");
    let candidates = vec!["192.0.2.1:50004".parse().expect("an address")];
    let config = WebRtcConfig { certificate, candidates, epoch: Instant::now(), limits: WebRtcLimits::default() };
    WebRtcEndpoint::new(config).expect("an endpoint")
}

/// What an offer must have, lest nearly none gets to its answer.
const TRANSPORT: &str = "a=ice-ufrag:Ab+1\na=ice-pwd:0123456789abcdefghijkl+/\na=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\n";

fuzz_target!(|sdp: &str| {
    let _ = Offer::parse(sdp);
    let Ok(mut offer) = Offer::parse(&format!("{TRANSPORT}{sdp}")) else { return };
    offer.add_codec("H264", 102, Some(103));
    let (trimmed, _) = (offer.is_trimmed(), offer.extensions());
    assert!(offer.media().count() <= offer.codecs().count());
    assert!(offer.simulcast_layers().all(|(_, rid)| rid.len() <= 32));
    ENDPOINT.with_borrow_mut(|endpoint| {
        let peer = endpoint.insert(0, offer.transport.clone(), ()).expect("randomness");
        let answer = offer.answer(&endpoint.local(peer).expect("it is there"));
        for line in answer.lines() {
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(line.chars().nth(1) == Some('='), "{line:?}");
        }
        assert_eq!(trimmed, !answer.starts_with("v=0"));
        endpoint.remove(0, peer);
    });
});
