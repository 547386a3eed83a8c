//! What forwarding costs by the number of receivers, without bytes or sockets: JSON on standard output.
//!
//! `cargo run --release -p rookery-forwarder --example forwarding_cost`
#![allow(clippy::print_stdout, reason = "its output")]

use std::hint::black_box;
use std::time::Instant;

use rookery_forwarder::{
    Audio, AudioLevel, Feedback, Join, Layer, LayerSpec, MemberFlags, NodeId, Packet, Payload, Room, RoomConfig,
    RoomKind, Ssrc, SsrcBlock, Transport, Video, Wants,
};
use rookery_model::UserId;

const RECEIVERS: [u64; 4] = [10, 100, 1_000, 4_999];
/// Forwarded packets of one measurement.
const FORWARDED: u64 = 4_000_000;

/// Nanoseconds for each packet that is forwarded to one receiver, the best of some measurements.
fn cost_ns(receivers: u64, packet: impl Fn(u64) -> Packet, room: &mut Room, from: rookery_forwarder::MemberKey) -> f64 {
    let packets = (FORWARDED / receivers).max(50);
    let mut best = f64::MAX;
    let mut at = 0_u64;
    for _ in 0..7 {
        let (mut forwarded, mut sum) = (0_u64, 0_u64);
        let started = Instant::now();
        for _ in 0..packets {
            at += 1;
            room.forward(10_000_000 + at * 20_000, from, &packet(at), |forward| {
                forwarded += 1;
                sum =
                    sum.wrapping_add(u64::from(forward.header.sequence)).wrapping_add(forward.receiver.index() as u64);
            });
        }
        black_box(sum);
        best = best.min(started.elapsed().as_nanos() as f64 / forwarded.max(1) as f64);
    }
    best
}

fn room(receivers: u64, transport: Transport, feedback: Feedback) -> (Room, rookery_forwarder::MemberKey) {
    let mut room = Room::new(RoomConfig::default(), RoomKind::Voice, NodeId(1), SsrcBlock::of_node(1), 1);
    let mut join = |user: u64| {
        let flags = MemberFlags::MAY_SPEAK | MemberFlags::MAY_STREAM;
        room.join(0, Join { user: UserId::new(user), transport, flags, feedback, rtx: true }).expect("there is room")
    };
    let from = join(1);
    for user in 2..receivers + 2 {
        join(user);
    }
    (room, from)
}

fn audio(receivers: u64, transport: Transport, feedback: Feedback) -> f64 {
    let (mut room, from) = room(receivers, transport, feedback);
    room.bind_audio(from, Ssrc(5));
    let packet = |at: u64| Packet {
        ssrc: Ssrc(5),
        sequence: at as u16,
        timestamp: (at * 960) as u32,
        marker: false,
        length_bytes: 160,
        hops: 0,
        payload: Payload::Audio(Audio {
            level: Some(AudioLevel { below_full_scale_db: 30, voice: true }),
            silence: false,
        }),
    };
    cost_ns(receivers, packet, &mut room, from)
}

fn video(receivers: u64) -> f64 {
    let (mut room, from) = room(receivers, Transport::WebRtc, Feedback::None);
    room.bind_layer(from, Ssrc(5), Layer(0));
    room.publish_video(0, from, &[LayerSpec { quality: 100, expected_bps: 400_000 }]).expect("it may");
    let receivers_keys: Vec<_> = room.publications().map(|publication| publication.member).collect();
    for key in receivers_keys {
        room.set_wants(0, key, Wants { any: 100, ..Wants::default() });
    }
    let packet = |at: u64| Packet {
        ssrc: Ssrc(5),
        sequence: at as u16,
        timestamp: (at * 1_800) as u32,
        marker: true,
        length_bytes: 1_000,
        hops: 0,
        payload: Payload::Video(Video { frame_start: true, key_frame: at == 1, ..Video::default() }),
    };
    cost_ns(receivers, packet, &mut room, from)
}

fn main() {
    let print = |kind, receivers, ns: f64| {
        println!("{{\"kind\":\"{kind}\",\"receivers\":{receivers},\"ns_per_receiver\":{ns:.2}}}");
    };
    for n in RECEIVERS {
        print("audio_to_bots", n, audio(n, Transport::Udp, Feedback::None));
        print("audio_to_reporting_browsers", n, audio(n, Transport::WebRtc, Feedback::TransportWide));
        print("video", n, video(n));
    }
}
