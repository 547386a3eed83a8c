//! Two clients and one socket of the server's on the loopback interface.

use rookery_model::voice::Ssrc;
use rookery_rtp::{RtpHeader, RtpPacket};
use rookery_webrtc::{Certificate, Event, Offer, PeerId, Received, WebRtcConfig, WebRtcEndpoint, WebRtcLimits};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::client::Client;

const PATIENCE: Duration = Duration::from_secs(30);

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // As long as nothing comes, timers are looked at that often.
    socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    socket
}

#[test]
fn sound_goes_both_ways_through_one_socket() {
    let epoch = Instant::now();
    let server = socket();
    let address = server.local_addr().unwrap();
    let certificate = Certificate::generate().unwrap();
    let config = WebRtcConfig { certificate, candidates: vec![address], epoch, limits: WebRtcLimits::default() };
    let mut endpoint = WebRtcEndpoint::new(config).unwrap();
    let mut clients = Vec::new();
    let mut peers: Vec<PeerId> = Vec::new();
    for n in 0..2 {
        let socket = socket();
        let mut client = Client::new(epoch, socket.local_addr().unwrap(), 10 + n);
        let offer = Offer::parse(&client.offer(epoch)).unwrap();
        let peer = endpoint.insert(0, offer.transport.clone(), n).unwrap();
        client.accept(epoch, offer.answer(&endpoint.local(peer).unwrap()));
        clients.push((client, socket));
        peers.push(peer);
    }

    let (mut connected, mut buffer) = (0, [0; 2_048]);
    let mut speaks_at = epoch;
    while clients.iter().any(|(client, _)| client.heard.len() < 20) {
        let now = Instant::now();
        let now_ms = (now - epoch).as_millis() as u64;
        assert!(now - epoch < PATIENCE, "{connected} connected; {:?}", endpoint.drops());
        for (client, socket) in &mut clients {
            client.handle_timeout(now);
            if connected == 2 && client.is_connected() && now >= speaks_at {
                client.speak(now, &client.ssrc.to_be_bytes());
            }
            while let Some((to, datagram)) = client.poll_transmit() {
                socket.send_to(&datagram, to).unwrap();
            }
        }
        if now >= speaks_at {
            speaks_at = now + Duration::from_millis(20);
        }

        while let Ok((len, from)) = server.recv_from(&mut buffer) {
            match endpoint.handle_datagram(now_ms, from, &mut buffer[..len]) {
                Received::Answer(answer) => {
                    server.send_to(answer, from).unwrap();
                }
                Received::Rtp { peer, packet } => {
                    let packet = packet.to_vec();
                    let packet = RtpPacket::parse(&packet).unwrap();
                    let header = RtpHeader { ssrc: Ssrc(packet.header.ssrc.0 + 1_000), ..packet.header };
                    let other = if peer == peers[0] { peers[1] } else { peers[0] };
                    let other = endpoint.get_mut(other).unwrap();
                    let mut sealed = [0; 1_500];
                    let len = other.write_rtp(&header, packet.payload(), &mut sealed).unwrap();
                    server.send_to(&sealed[..len], other.address().unwrap()).unwrap();
                }
                _ => {}
            }
        }
        endpoint.handle_timeout(now_ms);
        while let Some((to, datagram)) = endpoint.poll_transmit() {
            server.send_to(&datagram, to).unwrap();
        }
        while let Some(event) = endpoint.poll_event() {
            assert!(matches!(event, Event::Connected(_)), "{event:?}");
            connected += 1;
        }
        for (client, socket) in &mut clients {
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                client.handle(Instant::now(), from, &buffer[..len]);
            }
        }
    }
    for (n, (client, _)) in clients.iter().enumerate() {
        let others = (10 + 1 - n as u32).to_be_bytes();
        assert!(client.heard.iter().all(|(_, payload)| *payload == others), "{n}");
    }
}
