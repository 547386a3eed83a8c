//! Sections 12 and 13: their cases compress messages, if the server agrees. This one does not, as the suite allows:
//! payloads are compressed above WebSocket, for all connections at once.

use crate::case::{Chop, Event, Frame};
use crate::echo;
use crate::peer::{Heard, Peer};

/// What the cases of section 13 and the clients of section 12 offer.
const OFFERS: [&str; 8] = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_no_context_takeover; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; server_max_window_bits=8",
    "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=8, permessage-deflate; \
     server_no_context_takeover, permessage-deflate",
    "x-webkit-deflate-frame, permessage-deflate",
];

#[tokio::test]
async fn an_offer_is_answered_without_the_extension() {
    let address = echo::start().await;
    for offer in OFFERS {
        let (mut peer, head) = Peer::connect(address, &format!("Sec-WebSocket-Extensions: {offer}\r\n")).await;
        let agreed = head.iter().find(|line| line.to_ascii_lowercase().starts_with("sec-websocket-extensions"));
        assert_eq!(agreed, None, "{offer}");
        peer.send(&Frame::text("plain"), Chop::Alone).await;
        let Heard::Event(event) = peer.hear().await else { panic!("no echo after {offer}") };
        assert_eq!(event, Event::text("plain"));
        // Whoever compresses all the same sets a bit that means nothing here.
        peer.send(&Frame::text(&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..]).rsv(4), Chop::Alone).await;
        assert!(matches!(peer.hear().await, Heard::Close(Some(1002))), "{offer}");
    }
}
