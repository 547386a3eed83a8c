//! Offers as clients make them, and as nobody should.

use super::*;
use crate::ice::IceCredentials;
use proptest::prelude::*;

const FINGERPRINT: &str =
    "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

/// What the transport needs, then whatever is given.
fn trimmed(rest: &str) -> String {
    let transport =
        "a=extmap-allow-mixed\na=ice-ufrag:Ab+1\na=ice-pwd:0123456789abcdefghijkl+/\na=ice-options:trickle\n";
    format!("{transport}a=fingerprint:{FINGERPRINT}\n{rest}")
}

const TRIMMED: &str = "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level
a=extmap:4 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:7 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=rtpmap:111 opus/48000/2
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000";

/// Of a browser: sound both ways, a camera in two layers, somebody else's picture, a data channel.
const WHOLE: &str = "v=0
o=- 42 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2 3
a=extmap-allow-mixed
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 13 110
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Ab+1
a=ice-pwd:0123456789abcdefghijkl+/
a=fingerprint:FP
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=rtpmap:9 G722/8000
a=rtpmap:13 CN/8000
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104 105 45 46
a=ice-ufrag:Ab+1
a=ice-pwd:0123456789abcdefghijkl+/
a=fingerprint:FP
a=setup:actpass
a=mid:1
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=sendonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 x-something
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=rtcp-fb:* transport-cc
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:104 H264/90000
a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f
a=rtpmap:105 rtx/90000
a=fmtp:105 apt=104
a=rtpmap:45 AV1/90000
a=fmtp:45 level-idx=5;profile=0;tier=0
a=rid:hi send
a=rid:lo send
a=simulcast:send hi;lo
m=video 9 UDP/TLS/RTP/SAVPF 96
a=mid:2
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
a=mid:3
a=sctp-port:5000
";

fn whole() -> String {
    WHOLE.replace("FP", FINGERPRINT).replace('\n', "\r\n")
}

fn local(credentials: &IceCredentials) -> LocalTransport<'_> {
    const CANDIDATES: [SocketAddr; 1] =
        [SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 50_004)];
    LocalTransport { credentials, fingerprint: FINGERPRINT.parse().unwrap(), candidates: &CANDIDATES }
}

fn numbers(offer: &Offer) -> Vec<(Codec, u8, Option<u8>)> {
    offer.codecs().map(|codec| (codec.codec, codec.payload_type, codec.rtx_payload_type)).collect()
}

#[test]
fn a_trimmed_offer_and_its_answer() {
    let mut offer = Offer::parse(&trimmed(TRIMMED)).unwrap();
    assert!(offer.is_trimmed());
    assert_eq!((offer.transport.ufrag.as_str(), offer.transport.fingerprint.to_string()), ("Ab+1", FINGERPRINT.into()));
    assert_eq!(numbers(&offer), [(Codec::Opus, 111, None), (Codec::Vp8, 96, Some(97))]);
    let expected = ExtensionIds {
        audio_level: Some(1),
        absolute_send_time: Some(4),
        transport_sequence_number: Some(7),
        ..ExtensionIds::default()
    };
    assert_eq!(offer.extensions(), expected);

    offer.add_codec("opus", 111, None);
    offer.add_codec("H264", 103, Some(104));
    offer.add_codec("VP9", 98, Some(99));
    offer.add_codec("AV1", 72, None);
    assert_eq!(numbers(&offer)[2..], [(Codec::H264, 103, Some(104))]);

    let credentials = IceCredentials::generate().unwrap();
    let answer = offer.answer(&local(&credentials));
    let expected = format!(
        "m=audio 50004 ICE/SDP\na=fingerprint:{FINGERPRINT}\nc=IN IP4 192.0.2.7\na=rtcp:50004\na=ice-ufrag:{}\n\
         a=ice-pwd:{}\na=fingerprint:{FINGERPRINT}\na=candidate:1 1 UDP 2130706431 192.0.2.7 50004 typ host\n",
        credentials.ufrag(),
        credentials.password(),
    );
    assert_eq!(answer, expected);
}

#[test]
fn a_whole_offer_and_its_answer() {
    let offer = Offer::parse(&whole()).unwrap();
    assert!(!offer.is_trimmed());
    let vp8 = (Codec::Vp8, 96, Some(97));
    let h264 = (Codec::H264, 102, Some(103));
    let expected = [(Codec::Opus, 111, None), vp8, h264, (Codec::Av1, 45, None), (Codec::Vp8, 96, None)];
    assert_eq!(numbers(&offer), expected);
    let media = [
        ("0", MediaKind::Audio, Direction::SendRecv),
        ("1", MediaKind::Video, Direction::SendOnly),
        ("2", MediaKind::Video, Direction::RecvOnly),
    ];
    assert_eq!(offer.media().collect::<Vec<_>>(), media);
    assert_eq!(offer.simulcast_layers().collect::<Vec<_>>(), [("1", "hi"), ("1", "lo")]);
    assert_eq!((offer.extensions().mid, offer.extensions().repaired_rid), (Some(4), Some(11)));

    let credentials = IceCredentials::generate().unwrap();
    let answer = offer.answer(&local(&credentials));
    let mut sections = answer.split("m=");
    let session = sections.next().unwrap();
    let sections: Vec<Vec<&str>> = sections.map(|section| section.split("\r\n").collect()).collect();
    assert!(session.contains("\r\na=ice-lite\r\na=group:BUNDLE 0 1 2\r\n"), "{session}");

    let audio = &sections[0];
    assert_eq!(audio[..2], ["audio 50004 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 192.0.2.7"]);
    for line in [
        "a=setup:passive",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=candidate:1 1 UDP 2130706431 192.0.2.7 50004 typ host",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=rtcp-fb:111 transport-cc",
        "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1",
    ] {
        assert!(audio.contains(&line), "{line} in {audio:#?}");
    }
    let video = &sections[1];
    assert_eq!(video[0], "video 50004 UDP/TLS/RTP/SAVPF 96 97 102 103 45");
    for line in [
        "a=recvonly",
        "a=rtcp-rsize",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:102 transport-cc",
        "a=fmtp:97 apt=96",
        "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
        "a=rid:hi recv",
        "a=simulcast:recv hi;lo",
    ] {
        assert!(video.contains(&line), "{line} in {video:#?}");
    }
    assert!(!answer.contains("x-something") && !answer.contains("red/48000"), "{answer}");
    assert!(sections[2].contains(&"a=sendonly"));
    assert_eq!(sections[3][0], "application 0 UDP/DTLS/SCTP webrtc-datachannel");
}

#[test]
fn sections_that_cannot_be_bundled_are_refused() {
    let without_mux = whole().replacen("a=rtcp-mux\r\n", "", 1);
    let offer = Offer::parse(&without_mux).unwrap();
    let credentials = IceCredentials::generate().unwrap();
    let answer = offer.answer(&local(&credentials));
    assert!(answer.contains("a=group:BUNDLE 1 2\r\n"), "{answer}");
    assert!(answer.contains("m=audio 0 UDP/TLS/RTP/SAVPF 111 63 9 13 110\r\n"), "{answer}");
}

#[test]
fn offers_that_cannot_be_answered_say_why() {
    let parse = |sdp: &str| Offer::parse(sdp).map(|_| ()).unwrap_err();
    let good = trimmed(TRIMMED);
    let without = |name: &str| {
        good.lines().filter(|line| !line.starts_with(&format!("a={name}:"))).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(parse(""), SdpError::Missing("ice-ufrag"));
    for name in ["ice-ufrag", "ice-pwd", "fingerprint"] {
        assert_eq!(parse(&without(name)), SdpError::Missing(name));
    }
    assert_eq!(parse(&"a=x\n".repeat(20_000)), SdpError::TooLong);
    assert_eq!(parse(&good.replace("00:11:22", "00:11")), SdpError::Line(5));
    assert_eq!(parse(&good.replace("Ab+1", "A")), SdpError::Line(2));
    assert_eq!(parse(&format!("{good}\nwhat is this")), SdpError::Line(14));
    assert_eq!(parse(&format!("{good}\na=mid:\r0")), SdpError::Line(14));
    assert_eq!(parse(&format!("{good}\na=extmap:x y")), SdpError::Line(14));
    assert_eq!(parse(&whole().replacen("setup:actpass", "setup:passive", 1)), SdpError::Passive);
    assert_eq!(parse(&whole().replacen("ice-ufrag:Ab+1", "ice-ufrag:other", 1)), SdpError::ManyTransports);
    assert_eq!(parse(&format!("{good}\n{}", "m=audio 9 X 0\n".repeat(129))), SdpError::TooMany("sections"));
    let codecs: String = (0..64).chain(96..128).map(|n| format!("\na=rtpmap:{n} X/1")).collect();
    assert!(Offer::parse(&format!("{good}{codecs}")).is_ok(), "no more payload types than there are");
}

/// Lines of offers, and what comes when they are cut and mixed.
fn pieces() -> impl Strategy<Value = String> {
    let lines: Vec<String> = whole().lines().chain(trimmed(TRIMMED).lines()).map(str::to_owned).collect();
    let line = prop_oneof![
        8 => proptest::sample::select(lines.clone()),
        1 => (proptest::sample::select(lines), 0_usize..60, any::<char>()).prop_map(|(line, at, char)| {
            let at = line.floor_char_boundary(at.min(line.len()));
            format!("{}{char}{}", &line[..at], &line[at..])
        }),
        1 => ".{0,40}",
    ];
    proptest::collection::vec(line, 0..80).prop_map(|lines| lines.join("\r\n"))
}

proptest! {
    #[test]
    fn whatever_is_offered_no_answer_has_lines_of_the_clients_making(sdp in pieces()) {
        if let Ok(offer) = Offer::parse(&sdp) {
            let credentials = IceCredentials::generate().unwrap();
            let answer = offer.answer(&local(&credentials));
            for line in answer.lines() {
                prop_assert!(!line.contains(char::is_control));
                prop_assert!(["v=", "o=", "s=", "t=", "c=", "m=", "a="].iter().any(|kind| line.starts_with(kind)), "{}", line);
            }
        }
    }

    #[test]
    fn with_what_the_transport_needs_too(rest in pieces()) {
        let sdp = trimmed(&rest);
        if let Ok(offer) = Offer::parse(&sdp) {
            let credentials = IceCredentials::generate().unwrap();
            let _ = offer.answer(&local(&credentials));
        }
    }

    #[test]
    fn any_text(sdp in any::<String>()) {
        let _ = Offer::parse(&sdp);
    }
}
