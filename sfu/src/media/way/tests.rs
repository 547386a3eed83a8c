use super::*;

const TRANSPORT: &str = "a=ice-ufrag:Ab+1\na=ice-pwd:0123456789abcdefghijkl+/\na=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\n";
const TRIMMED: &str = "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=rtpmap:111 opus/48000/2
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000";
const WHOLE: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111
a=mid:a0
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 96
a=mid:own
a=sendonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
m=video 9 UDP/TLS/RTP/SAVPF 96
a=mid:v1
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000";

/// A peer's name, which only an endpoint gives.
fn peer() -> PeerId {
    let config = rookery_webrtc::WebRtcConfig {
        certificate: rookery_webrtc::Certificate::generate().unwrap(),
        candidates: vec![],
        epoch: std::time::Instant::now(),
        limits: rookery_webrtc::WebRtcLimits::default(),
    };
    let mut endpoint = rookery_webrtc::WebRtcEndpoint::new(config).unwrap();
    endpoint.insert(0, Offer::parse(TRANSPORT).unwrap().transport, ()).unwrap()
}

fn way(offer: &str) -> (WebRtcWay, PayloadTypes) {
    let offer = Offer::parse(&format!("{TRANSPORT}{offer}")).unwrap();
    (WebRtcWay::new(peer(), &offer), PayloadTypes::offered(&offer))
}

/// A packet with elements of an extension.
fn packet(payload_type: u8, ssrc: u32, number: u16, elements: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let header = RtpHeader { marker: false, payload_type, sequence_number: number, timestamp: 0, ssrc: Ssrc(ssrc) };
    let mut packet = header.to_bytes().to_vec();
    packet[0] |= 0x10;
    let mut buffer = [0; 64];
    let mut writer = ElementWriter::new(&mut buffer);
    assert!(elements.iter().all(|(id, value)| writer.push(*id, value)));
    let len = writer.finish().len().next_multiple_of(4);
    packet.extend([0xbe, 0xde, 0, (len / 4) as u8]);
    packet.extend(&buffer[..len]);
    packet.extend(payload);
    packet
}

/// What a packet was taken for: kind, layer, SSRC, number, payload.
fn told(way: &mut WebRtcWay, types: &PayloadTypes, now_us: u64, packet: &[u8]) -> Option<(u8, u32, u16, Vec<u8>)> {
    let rtp = RtpPacket::parse(packet).unwrap();
    match way.source(now_us, types, &rtp)? {
        Source::Sound { level } => {
            Some((200, rtp.header.ssrc.0, level.map_or(0, |level| level.to_byte().into()), vec![]))
        }
        Source::Picture { codec, layer, ssrc, sequence, payload } => {
            assert_eq!(codec, Codec::Vp8);
            Some((layer.0, ssrc.0, sequence, payload.to_vec()))
        }
    }
}

fn layers(rids: &[&str]) -> SmallVec<[LayerSource; LAYERS_MAX]> {
    rids.iter().map(|rid| LayerSource::new(rid, None, None)).collect()
}

#[test]
fn codecs_have_the_clients_numbers() {
    let codec = |name: &str, priority, payload_type, rtx_payload_type| -> voice::Codec {
        serde_json::from_value(serde_json::json!({"name": name, "type": "video", "priority": priority,
            "payload_type": payload_type, "rtx_payload_type": rtx_payload_type}))
        .unwrap()
    };
    let listed = [
        codec("H264", 2, 101, Some(102)),
        codec("VP8", 1, 103, None),
        codec("H264", 3, 99, None),
        codec("x", 0, 1, None),
    ];
    let types = PayloadTypes::listed(&listed);
    assert_eq!((types.opus(), types.preferred_video()), (120, Codec::Vp8), "named by nobody");
    assert_eq!((types.video(Codec::H264), types.video(Codec::Av1)), (Some((101, Some(102))), None));
    let carries = [120, 101, 102, 103, 99].map(|number| types.carries(number));
    let expected = [
        Some(Carries::Sound),
        Some(Carries::Picture(Codec::H264)),
        Some(Carries::Again(Codec::H264)),
        Some(Carries::Picture(Codec::Vp8)),
        None,
    ];
    assert_eq!(carries, expected);
    assert_eq!(PayloadTypes::listed(&[codec("AV1", 1, 45, None)]).preferred_video(), Codec::Av1);
}

#[test]
fn layers_are_known_by_their_names_until_their_ssrcs_are() {
    let (mut way, types) = way(TRIMMED);
    let mut take = |packet: Vec<u8>| told(&mut way, &types, 0, &packet);
    assert_eq!(take(packet(96, 5, 1, &[(10, b"h")], b"early")), None, "it said nothing of it");
    way.set_layers(layers(&["q", "h"]));
    let mut take = |packet: Vec<u8>| told(&mut way, &types, 0, &packet);
    assert_eq!(take(packet(96, 5, 1, &[(10, b"h")], b"1")), Some((1, 5, 1, b"1".to_vec())));
    assert_eq!(take(packet(96, 5, 2, &[], b"2")), Some((1, 5, 2, b"2".to_vec())), "without its name");
    assert_eq!(take(packet(96, 6, 1, &[], b"?")), None, "of two it could be either");
    assert_eq!(take(packet(96, 6, 1, &[(10, b"x")], b"?")), None);
    assert_eq!(take(packet(96, 6, 1, &[(10, b"q")], b"3")), Some((0, 6, 1, b"3".to_vec())));
    // What is sent again: under its first number; padding is nothing.
    assert_eq!(take(packet(97, 7, 900, &[(11, b"h")], b"\x00\x09late")), Some((1, 5, 9, b"late".to_vec())));
    assert_eq!(take(packet(97, 7, 901, &[], b"\x00\x0alate")), Some((1, 5, 10, b"late".to_vec())));
    assert_eq!(take(packet(97, 7, 902, &[], b"")), None);
    assert_eq!(take(packet(97, 8, 1, &[], b"\x00\x01")), None);
    assert_eq!(take(packet(100, 5, 3, &[], b"3")), None, "a codec that was not agreed on");
}

#[test]
fn the_only_layer_may_come_from_another_ssrc_than_was_said_and_only_one() {
    let (mut way, types) = way(TRIMMED);
    way.set_layers([LayerSource::new("", Some(Ssrc(40)), Some(Ssrc(41)))].into_iter().collect());
    let mut take = |packet: Vec<u8>| told(&mut way, &types, 0, &packet).map(|told| (told.1, told.2));
    assert_eq!(take(packet(97, 77, 1, &[], b"\x00\x01x")), None, "again before it came at all");
    assert_eq!(take(packet(96, 5, 1, &[], b"1")), Some((5, 1)));
    assert_eq!(take(packet(96, 40, 1, &[], b"1")), None);
    assert_eq!(take(packet(97, 41, 1, &[], b"\x00\x07x")), Some((5, 7)));
}

#[test]
fn another_stream_of_sound_waits_until_the_first_is_silent() {
    let (mut way, types) = way(TRIMMED);
    let level = AudioLevel { voice: true, below_overload_db: 20 };
    let mut take = |now_us, ssrc, elements: &[(u8, &[u8])]| {
        told(&mut way, &types, now_us, &packet(111, ssrc, 1, elements, b"opus")).map(|told| (told.1, told.2))
    };
    assert_eq!(take(0, 1, &[(1, &[level.to_byte()])]), Some((1, level.to_byte().into())));
    assert_eq!(take(20_000, 2, &[]), None);
    assert_eq!(take(SOUND_MOVES_US, 2, &[]), Some((2, 0)));
    assert_eq!(take(SOUND_MOVES_US + 20_000, 1, &[]), None);
}

#[test]
fn whole_offers_have_a_section_for_each_picture_and_trimmed_ones_none() {
    let (mut way, _) = way(WHOLE);
    let mut name = |ssrc, kind| {
        let mut buffer = [0; ELEMENTS_BYTES];
        way.elements(Ssrc(ssrc), kind, Some(7), None, &mut buffer).map(|elements| elements.to_vec())
    };
    let mid = |mid: &[u8]| Some([&[0x41][..], mid].concat());
    assert_eq!(name(1, MediaKind::Video), mid(b"v1"));
    assert_eq!(name(1, MediaKind::Video), mid(b"v1"));
    assert_eq!(name(2, MediaKind::Video), None, "its own sends only");
    assert_eq!((name(3, MediaKind::Audio), name(4, MediaKind::Audio)), (mid(b"a0"), mid(b"a0")));
    for ssrc in 10..1_000 {
        assert_eq!(name(ssrc, MediaKind::Audio), mid(b"a0"));
    }
    assert_eq!(way.sections.as_ref().unwrap().taken.len(), 2, "nothing is kept of those who share a section");
    way.release(Ssrc(1));
    let mut buffer = [0; ELEMENTS_BYTES];
    assert!(way.elements(Ssrc(2), MediaKind::Video, None, None, &mut buffer).is_some(), "a section that is free again");
    assert_eq!(way.feedback(), Feedback::None);

    let (mut way, _) = self::way(TRIMMED);
    let level = Some(AudioLevel { voice: false, below_overload_db: 127 });
    let elements = way.elements(Ssrc(1), MediaKind::Audio, Some(0x102), level, &mut buffer);
    assert_eq!(elements, Some(&[0x31, 1, 2, 0x10, 0x7f][..]));
    assert_eq!(way.feedback(), Feedback::TransportWide);
}
