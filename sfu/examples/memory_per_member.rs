//! Bytes that media of a UDP member takes, in the room and on the socket, without its connection to the voice gateway:
//! `cargo run --release -p rookery-sfu --example memory_per_member [members]`.

use rookery_forwarder::{Feedback, Join, MemberFlags, NodeId, Room, RoomConfig, RoomKind, SsrcBlock, Transport};
use rookery_model::UserId;
use rookery_model::voice::{EncryptionMode, SecretKey, Ssrc};
use rookery_rtp::{HEADER_BYTES, OVERHEAD_BYTES, Received, RtpHeader, Sealer, TransportCipher, UdpEndpoint, UdpLimits};
use rookery_test_allocations::{CountingAllocator, of_thread};
use std::error::Error;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const PAYLOAD: &[u8] = b"opus";

/// Everybody has a key, spoke and heard.
fn fill(mode: EncryptionMode, members: u32) -> Result<(Room, UdpEndpoint<u32>), Box<dyn Error>> {
    let mut room = Room::new(RoomConfig::default(), RoomKind::Voice, NodeId(1), SsrcBlock::of_node(1), 1);
    let mut endpoint = UdpEndpoint::new(UdpLimits::default());
    let mut buffer = [0; 256];
    for n in 0..members {
        let flags = MemberFlags::MAY_SPEAK;
        let (user, transport) = (UserId::new(u64::from(n) + 1), Transport::Udp);
        let key = room.join(0, Join { user, transport, flags, feedback: Feedback::None, rtx: false })?;
        let streams = room.streams(key).ok_or("no SSRCs")?;
        let ssrc = Ssrc(streams.audio.0);
        let member = endpoint.insert(0, ssrc, n).ok_or("an SSRC that another has")?;
        for video in [streams.video, streams.rtx] {
            endpoint.own(member, Ssrc(video.0));
        }
        let secret = SecretKey([7; 32]);
        endpoint.activate(0, member, mode, &secret, None);
        let header = RtpHeader { marker: false, payload_type: 120, sequence_number: 1, timestamp: 0, ssrc };
        let plain_len = HEADER_BYTES + PAYLOAD.len();
        buffer[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        buffer[HEADER_BYTES..plain_len].copy_from_slice(PAYLOAD);
        let packet = &mut buffer[..plain_len + OVERHEAD_BYTES];
        Sealer::new([0; 4]).seal(&TransportCipher::new(mode, &secret), packet, HEADER_BYTES, plain_len)?;
        let from = SocketAddr::new(Ipv4Addr::from(0x0a00_0000 + n).into(), 5_000);
        if !matches!(endpoint.handle(0, from, packet), Received::Rtp { .. }) {
            return Err("a packet is not taken".into());
        }
        endpoint.get_mut(member).ok_or("nobody left")?.write_rtp(&header, PAYLOAD, &mut buffer)?;
    }
    Ok((room, endpoint))
}

fn main() -> Result<(), Box<dyn Error>> {
    let members = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(4_000);
    for mode in EncryptionMode::ALL {
        let before = of_thread();
        let kept = fill(mode, members)?;
        let bytes = (of_thread() - before).in_use_bytes();
        drop(kept);
        writeln!(std::io::stdout(), "a member with {}: {} bytes", mode.name(), bytes / members as isize)?;
    }
    Ok(())
}
