//! An endpoint and its clients on a network that loses nothing but what it is told to, in a time of its own.

use rookery_model::voice::Ssrc;
use rookery_rtp::{RtpHeader, RtpPacket};
use rookery_webrtc::{Certificate, Event, Offer, PeerId, Received, WebRtcConfig, WebRtcEndpoint, WebRtcLimits};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::client::Client;

pub const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 50_004);

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// Says of a datagram whether it arrives.
pub type Loss = Box<dyn FnMut(Way, &[u8]) -> bool>;

pub struct World {
    pub epoch: Instant,
    pub now_ms: u64,
    pub endpoint: WebRtcEndpoint<usize>,
    pub clients: Vec<Client>,
    pub peers: Vec<PeerId>,
    pub events: Vec<Event>,
    /// Says of each datagram whether it arrives.
    pub arrives: Loss,
    /// Bytes that the server was sent and that it sent.
    pub to_server: usize,
    pub from_server: usize,
    /// Whether sound goes from each to the others.
    pub forwards: bool,
    /// Encryptions of SRTP that clients have, if not all.
    pub profiles: Vec<SrtpProtectionProfile>,
}

pub fn client_address(n: usize) -> SocketAddr {
    SocketAddr::new([198, 51, 100, n as u8 + 1].into(), 40_000 + n as u16)
}

impl World {
    pub fn new() -> Self {
        Self::with(WebRtcLimits::default())
    }

    pub fn with(limits: WebRtcLimits) -> Self {
        let epoch = Instant::now();
        let certificate = Certificate::generate().unwrap();
        let config = WebRtcConfig { certificate, candidates: vec![SERVER], epoch, limits };
        Self {
            epoch,
            now_ms: 0,
            endpoint: WebRtcEndpoint::new(config).unwrap(),
            clients: vec![],
            peers: vec![],
            events: vec![],
            arrives: Box::new(|_, _| true),
            to_server: 0,
            from_server: 0,
            forwards: true,
            profiles: vec![],
        }
    }

    pub fn now(&self) -> Instant {
        self.epoch + Duration::from_millis(self.now_ms)
    }

    /// A client whose offer was answered.
    pub fn join(&mut self) -> usize {
        self.join_with(|offer| offer)
    }

    /// As [`Self::join`], with something changed in the offer on its way.
    pub fn join_with(&mut self, change: impl FnOnce(String) -> String) -> usize {
        let n = self.clients.len();
        let now = self.now();
        let mut client = Client::with(now, client_address(n), 1_000 + n as u32, self.profiles.clone());
        let offer = Offer::parse(&change(client.offer(now))).unwrap();
        let peer = self.endpoint.insert(self.now_ms, offer.transport.clone(), n).unwrap();
        client.accept(now, offer.answer(&self.endpoint.local(peer).unwrap()));
        self.clients.push(client);
        self.peers.push(peer);
        n
    }

    /// Lets time pass until something holds; fails if it does not within so long.
    pub fn until(&mut self, within_ms: u64, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let end_ms = self.now_ms + within_ms;
        loop {
            self.exchange();
            if holds(self) {
                return;
            }
            let states: Vec<_> = self.clients.iter().map(|client| client.state).collect();
            let drops = self.endpoint.drops();
            assert!(
                self.now_ms < end_ms,
                "{what}: not within {within_ms} ms; {states:?}, {:?}, {drops:?}",
                self.events
            );
            self.pass(end_ms);
        }
    }
    /// Lets so much time pass.
    pub fn run(&mut self, for_ms: u64) {
        let end_ms = self.now_ms + for_ms;
        while self.now_ms < end_ms {
            self.exchange();
            self.pass(end_ms);
        }
        self.exchange();
    }
    pub fn connect(&mut self) {
        self.until(10_000, "all connect", |world| {
            world.clients.iter().all(Client::is_connected)
                && world.events.iter().filter(|event| matches!(event, Event::Connected(_))).count()
                    >= world.clients.len()
        });
    }

    /// To the next time that somebody waits for.
    fn pass(&mut self, end_ms: u64) {
        let epoch = self.epoch;
        let to_ms = |at: Instant| at.saturating_duration_since(epoch).as_nanos().div_ceil(1_000_000) as u64;
        let clients = self.clients.iter_mut().filter_map(Client::poll_timeout).map(to_ms);
        let next_ms = clients.chain(self.endpoint.poll_timeout()).min().unwrap_or(end_ms);
        self.now_ms = next_ms.clamp(self.now_ms + 1, end_ms.max(self.now_ms + 1));
        let now = self.now();
        self.endpoint.handle_timeout(self.now_ms);
        for client in &mut self.clients {
            client.handle_timeout(now);
        }
    }

    /// Until nobody has anything to send.
    pub fn exchange(&mut self) {
        let now = self.now();
        loop {
            let mut is_quiet = true;
            for n in 0..self.clients.len() {
                while let Some((to, datagram)) = self.clients[n].poll_transmit() {
                    is_quiet = false;
                    let from = self.clients[n].address;
                    if to == SERVER && (self.arrives)(Way::ToServer, &datagram) {
                        self.give(from, &mut datagram.to_vec());
                    }
                }
            }
            while let Some((to, datagram)) = self.endpoint.poll_transmit() {
                is_quiet = false;
                self.deliver(now, to, &datagram);
            }
            while let Some(event) = self.endpoint.poll_event() {
                self.events.push(event);
            }
            if is_quiet {
                return;
            }
        }
    }

    fn deliver(&mut self, now: Instant, to: SocketAddr, datagram: &[u8]) {
        self.from_server += datagram.len();
        if (self.arrives)(Way::ToClient, datagram)
            && let Some(client) = self.clients.iter_mut().find(|client| client.address == to)
        {
            client.handle(now, SERVER, datagram);
        }
    }

    /// Gives the endpoint a datagram, and does what a shell does with it.
    pub fn give(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        let now = self.now();
        self.to_server += datagram.len();
        match self.endpoint.handle_datagram(self.now_ms, from, datagram) {
            Received::Answer(answer) => {
                let answer = answer.to_vec();
                self.deliver(now, from, &answer);
            }
            Received::Rtp { peer, packet } if self.forwards => {
                let packet = packet.to_vec();
                self.forward(peer, &packet);
            }
            _ => {}
        }
    }

    /// As the forwarder does: each packet to everybody else, under numbers of its own.
    fn forward(&mut self, from: PeerId, packet: &[u8]) {
        let packet = RtpPacket::parse(packet).unwrap();
        for peer in self.peers.clone().into_iter().filter(|peer| *peer != from) {
            let header = RtpHeader { ssrc: Ssrc(packet.header.ssrc.0 + 5_000), ..packet.header };
            let mut buffer = [0; 1_500];
            let Some(state) = self.endpoint.get_mut(peer) else { continue };
            if let (Some(address), Ok(len)) = (state.address(), state.write_rtp(&header, packet.payload(), &mut buffer))
            {
                let now = self.now();
                self.deliver(now, address, &buffer[..len]);
            }
        }
    }
}
