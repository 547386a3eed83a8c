//! A client of the voice gateway and of UDP voice, as the API's documentation has them, and a node for it.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use futures_util::{SinkExt as _, StreamExt as _};
use rookery_model::voice::node::{
    PrepareMember, PreparedMember, VoiceMemberFlags, VoiceMemberKey, VoiceNodeEvent, VoiceRoomKey, VoiceRoomSettings,
};
use rookery_model::voice::{EncryptionMode, LinkKey, RoomLink, SecretKey};
use rookery_model::{ChannelId, UserId, VoiceServerId};
use rookery_rtp::{Opener, Sealer, TransportCipher};
use rookery_sfu::{SfuConfig, VoiceNode, VoiceServer};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// After so long something that should happen has not.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const AES: &str = "aead_aes256_gcm_rtpsize";
pub const XCHACHA: &str = "aead_xchacha20_poly1305_rtpsize";
/// Payload types.
pub const OPUS: u8 = 120;
pub const VP8: u8 = 101;

pub fn room(channel: u64) -> VoiceRoomKey {
    VoiceRoomKey { server_id: VoiceServerId::new(1), channel_id: ChannelId::new(channel) }
}

pub fn key(user: u64) -> VoiceMemberKey {
    VoiceMemberKey { server_id: VoiceServerId::new(1), user_id: UserId::new(user) }
}

pub fn prepare(channel: u64, user: u64) -> PrepareMember {
    PrepareMember {
        room: room(channel),
        user_id: UserId::new(user),
        session_id: format!("session-{user}"),
        flags: VoiceMemberFlags { may_stream: true, ..VoiceMemberFlags::SPEAKER },
        settings: VoiceRoomSettings::default(),
        token: None,
    }
}

/// A node of the tests' own, and how to trust it.
pub struct World {
    pub server: VoiceServer,
    pub node: VoiceNode,
    pub events: mpsc::Receiver<VoiceNodeEvent>,
    tls: Arc<ClientConfig>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut SfuConfig)) -> Self {
        let mut config = SfuConfig {
            gateway: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            media: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            cores: Some(2),
            ..SfuConfig::default()
        };
        // Clients of the tests do not beat, and the machine may be slow.
        config.session.heartbeat_timeout_ms = 600_000;
        config.session.identify_timeout_ms = 120_000;
        config.handshakes_per_address_max = 1_000;
        config.handshake_timeout_ms = 60_000;
        change(&mut config);
        let (server_tls, client_tls) = certificates();
        let (server, events) = VoiceServer::start(config, server_tls).unwrap();
        Self { node: server.node(), server, events, tls: client_tls }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.gateway_address()
    }

    pub async fn connect(&self, query: &str) -> Wire {
        let stream = TcpStream::connect(self.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.unwrap();
        let url = format!("wss://localhost:{}/any/path{query}", self.address().port());
        let (stream, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        Wire { stream, seq: None }
    }

    /// Whether a connection can be made at all.
    pub async fn try_connect(&self) -> bool {
        let Ok(stream) = TcpStream::connect(self.address()).await else { return false };
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.is_ok()
    }

    /// Somebody who comes into a room and has a key.
    pub async fn join(&self, channel: u64, user: u64, version: u8, mode: &'static str) -> Client {
        let prepared = self.node.prepare_member(prepare(channel, user)).unwrap();
        self.come(user, &prepared, version, mode).await
    }

    pub async fn come(&self, user: u64, prepared: &PreparedMember, version: u8, mode: &'static str) -> Client {
        assert_eq!(prepared.endpoint, self.address().to_string());
        let mut wire = self.connect(&format!("?v={version}")).await;
        wire.send(identify(user, &prepared.token)).await;
        let ready = wire.until(2).await;
        Client::select(wire, user, prepared.token.clone(), &ready, mode).await
    }

    pub async fn event(&mut self) -> VoiceNodeEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event").expect("the node runs")
    }

    /// Waits until packets of members were dropped for a reason so often.
    pub async fn until_dropped(&self, reason: &str, count: u64) {
        let reached = async {
            loop {
                let load = self.node.load().await;
                let all = load.packets_dropped.iter().chain(&load.datagrams_dropped);
                if all.filter(|(name, _)| name == reason).map(|(_, count)| count).sum::<u64>() >= count {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{reason} was not counted {count} times"));
    }
}

fn certificates() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

/// Links a channel's room at two nodes, which have other numbers.
pub async fn link(a: &World, b: &World, channel: u64) {
    let end = |node, address, seal: u8, open: u8| {
        vec![RoomLink { id: 99, node, address, seal: LinkKey([seal; 32]), open: LinkKey([open; 32]) }]
    };
    let at_a = a.node.link_room(room(channel), end(2, None, 1, 2)).await;
    let at_b = b.node.link_room(room(channel), end(1, Some(at_a), 2, 1)).await;
    a.node.link_room(room(channel), end(2, Some(at_b), 1, 2)).await;
    for world in [a, b] {
        let up = async {
            while world.node.load().await.links_up != 1 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, up).await.expect("the link is up");
    }
}

pub fn identify(user: u64, token: &str) -> Value {
    json!({"op": 0, "d": {"server_id": "1", "user_id": user.to_string(), "session_id": format!("session-{user}"),
        "token": token, "max_dave_protocol_version": 1, "video": true}})
}

/// A connection to the voice gateway.
pub struct Wire {
    stream: WebSocketStream<TlsStream<TcpStream>>,
    /// The number of the last message that had one.
    pub seq: Option<u64>,
}

impl Wire {
    pub async fn send(&mut self, payload: Value) {
        self.stream.send(Message::text(payload.to_string())).await.unwrap();
    }

    /// The next message, or the code that the server closed with.
    pub async fn next(&mut self) -> Result<Value, Option<u16>> {
        let message = timeout(PATIENCE, self.stream.next()).await.expect("a message in time");
        match message {
            Some(Ok(Message::Text(text))) => {
                let value: Value = serde_json::from_str(&text).unwrap();
                self.seq = value["seq"].as_u64().or(self.seq);
                Ok(value)
            }
            Some(Ok(Message::Close(frame))) => Err(frame.map(|frame| frame.code.into())),
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) | None => Err(None),
        }
    }

    /// The data of the next message with an opcode; others are passed over.
    pub async fn until(&mut self, op: u64) -> Value {
        loop {
            let mut value = self.next().await.unwrap_or_else(|code| panic!("closed with {code:?} before {op}"));
            if value["op"] == op {
                return value["d"].take();
            }
        }
    }

    /// Everything up to a message that fits, with it.
    pub async fn collect_until(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| !fits(last)) {
            seen.push(self.next().await.unwrap_or_else(|code| panic!("closed with {code:?} after {seen:?}")));
        }
        seen
    }

    /// Closes with 1000.
    pub async fn leave(mut self) {
        let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame { code: 1000.into(), reason: "".into() };
        self.stream.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = self.stream.next().await {}
    }

    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    /// What came before the answer to a heartbeat.
    pub async fn settled(&mut self, version: u8) -> Vec<Value> {
        let beat = if version >= 8 { json!({"t": 77, "seq_ack": self.seq}) } else { json!(77) };
        self.send(json!({"op": 3, "d": beat})).await;
        let mut seen = Vec::new();
        loop {
            let value = self.next().await.expect("open");
            if value["op"] == 6 {
                return seen;
            }
            seen.push(value);
        }
    }
}

/// What a client heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub first_byte: u8,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: Vec<u8>,
}

/// Somebody with a key.
pub struct Client {
    pub wire: Wire,
    pub user: u64,
    pub token: String,
    pub ssrc: u32,
    pub video_ssrc: u32,
    pub udp: UdpSocket,
    pub media: SocketAddr,
    cipher: TransportCipher,
    sealer: Sealer,
    opener: Opener,
    pub sequence: u16,
}

impl Client {
    /// From READY to SESSION_DESCRIPTION.
    pub async fn select(wire: Wire, user: u64, token: String, ready: &Value, mode: &'static str) -> Self {
        Self::select_with(wire, user, token, ready, mode, opus_and_vp8()).await
    }

    /// As [`Self::select`], from a socket that was another client's.
    pub async fn select_from(
        udp: UdpSocket,
        wire: Wire,
        user: u64,
        token: String,
        ready: &Value,
        mode: &'static str,
    ) -> Self {
        Self::select_all(udp, wire, user, token, ready, mode, opus_and_vp8()).await
    }

    /// As [`Self::select`], with codecs.
    pub async fn select_with(
        wire: Wire,
        user: u64,
        token: String,
        ready: &Value,
        mode: &'static str,
        codecs: Value,
    ) -> Self {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self::select_all(udp, wire, user, token, ready, mode, codecs).await
    }

    async fn select_all(
        udp: UdpSocket,
        mut wire: Wire,
        user: u64,
        token: String,
        ready: &Value,
        mode: &'static str,
        codecs: Value,
    ) -> Self {
        let ssrc = u32::try_from(ready["ssrc"].as_u64().unwrap()).unwrap();
        let video_ssrc = ready["streams"][0]["ssrc"].as_u64().map_or(0, |ssrc| u32::try_from(ssrc).unwrap());
        let ip = ready["ip"].as_str().unwrap().parse().unwrap();
        let media = SocketAddr::new(ip, u16::try_from(ready["port"].as_u64().unwrap()).unwrap());
        assert!(ready["modes"].as_array().unwrap().contains(&json!(mode)));
        udp.connect(media).await.unwrap();
        let (address, port) = discover(&udp, ssrc).await;
        assert_eq!((address.as_str(), port), ("127.0.0.1", udp.local_addr().unwrap().port()));
        let data = json!({"address": address, "port": port, "mode": mode});
        wire.send(json!({"op": 1, "d": {"protocol": "udp", "data": data, "codecs": codecs}})).await;
        let description = wire.until(4).await;
        assert_eq!((&description["mode"], &description["dave_protocol_version"]), (&json!(mode), &json!(0)));
        let secret: Vec<u8> =
            description["secret_key"].as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect();
        let secret = SecretKey(secret.try_into().unwrap());
        let mode = EncryptionMode::from_name(mode).unwrap();
        Self {
            wire,
            user,
            token,
            ssrc,
            video_ssrc,
            udp,
            media,
            cipher: TransportCipher::new(mode, &secret),
            sealer: Sealer::new([0; 4]),
            opener: Opener::default(),
            sequence: 0,
        }
    }

    /// Says that it shows something from now on, which is done when this returns.
    pub async fn show(&mut self, node: &VoiceNode) {
        let (audio_ssrc, video_ssrc) = (self.ssrc, self.video_ssrc);
        let streams = json!([{"type": "video", "rid": "100", "quality": 100, "active": true, "ssrc": video_ssrc}]);
        let video = json!({"audio_ssrc": audio_ssrc, "video_ssrc": video_ssrc, "rtx_ssrc": 0, "streams": streams});
        self.wire.send(json!({"op": 12, "d": video})).await;
        self.settle(node).await;
    }

    /// Says that it wants to see everybody, which is done when this returns.
    pub async fn watch(&mut self, node: &VoiceNode) {
        self.wire.send(json!({"op": 15, "d": {"any": 100}})).await;
        self.settle(node).await;
    }

    /// Its session has handed on what it said before it answers, and the room has done that before it counts.
    async fn settle(&mut self, node: &VoiceNode) {
        self.wire.settled(8).await;
        node.load().await;
    }

    /// A frame of VP8 in so many encrypted packets, with numbers from this one on; a key frame.
    pub fn frame(&mut self, first: u16, lengths: &[usize]) -> Vec<Vec<u8>> {
        let last = lengths.len() - 1;
        let packet = |(at, length): (usize, &usize)| {
            let number = first.wrapping_add(at as u16);
            let mut header = vec![0x80, if at == last { 0x80 | VP8 } else { VP8 }];
            header.extend(number.to_be_bytes());
            header.extend((u32::from(first) * 100).to_be_bytes());
            header.extend(self.video_ssrc.to_be_bytes());
            // A descriptor of one byte: whether the frame begins here. Then, what is 0 in a key frame's first byte.
            let mut payload = vec![if at == 0 { 0x10 } else { 0 }, 0];
            payload.resize(*length, number as u8);
            self.seal(header, &payload)
        };
        lengths.iter().enumerate().map(packet).collect()
    }

    /// An encrypted packet of Opus.
    pub fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = vec![0x80, OPUS];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend((u32::from(self.sequence) * 960).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        self.seal(packet, payload)
    }

    /// An encrypted packet with a whole key frame of VP8.
    pub fn picture(&mut self, ssrc: u32, sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 0x80 | VP8];
        packet.extend(sequence.to_be_bytes());
        packet.extend((u32::from(sequence) * 3_000).to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        // A descriptor that says that a frame begins, and a frame that says that it needs no other.
        self.seal(packet, &[0x10, 0, 1, 2, 3])
    }

    pub fn seal(&mut self, header: Vec<u8>, body: &[u8]) -> Vec<u8> {
        let clear = header.len();
        let mut packet = header;
        packet.extend_from_slice(body);
        let plain = packet.len();
        packet.resize(plain + 20, 0);
        assert_eq!(self.sealer.seal(&self.cipher, &mut packet, clear, plain), Ok(plain + 20));
        packet
    }

    pub async fn say(&mut self, payload: &[u8]) {
        let packet = self.packet(payload);
        self.udp.send(&packet).await.unwrap();
    }

    pub async fn hear(&mut self) -> Heard {
        let mut buffer = [0; 2_048];
        let length = timeout(PATIENCE, self.udp.recv(&mut buffer)).await.expect("a packet in time").unwrap();
        self.open(&mut buffer[..length])
    }

    /// What is there already.
    pub fn hear_now(&mut self) -> Option<Heard> {
        let mut buffer = [0; 2_048];
        let length = recv_now(&self.udp, &mut buffer)?;
        Some(self.open(&mut buffer[..length]))
    }

    fn open(&mut self, packet: &mut [u8]) -> Heard {
        let fixed: [u8; 12] = packet[..12].try_into().unwrap();
        let length = self.opener.open(&self.cipher, packet, 12).expect("encrypted for this client");
        Heard {
            first_byte: fixed[0],
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload: packet[12..length].to_vec(),
        }
    }
}

impl Heard {
    pub fn of(&self) -> (u32, &[u8]) {
        (self.ssrc, &self.payload)
    }
}

fn opus_and_vp8() -> Value {
    json!([{"name": "opus", "type": "audio", "priority": 1_000, "payload_type": OPUS},
        {"name": "VP8", "type": "video", "priority": 1_000, "payload_type": VP8}])
}

/// What the kernel has for a socket, whether the runtime has seen it or not.
pub fn recv_now(socket: &UdpSocket, buffer: &mut [u8]) -> Option<usize> {
    let socket = std::net::UdpSocket::from(socket.as_fd().try_clone_to_owned().unwrap());
    socket.recv(buffer).ok()
}

pub fn discovery(ssrc: u32) -> Vec<u8> {
    let mut request = vec![0, 1, 0, 70];
    request.extend(ssrc.to_be_bytes());
    request.resize(74, 0);
    request
}

/// IP discovery: the address that the server sees.
pub async fn discover(udp: &UdpSocket, ssrc: u32) -> (String, u16) {
    udp.send(&discovery(ssrc)).await.unwrap();
    let mut answer = [0; 100];
    let length = timeout(PATIENCE, udp.recv(&mut answer)).await.expect("an answer in time").unwrap();
    assert_eq!((length, &answer[..4]), (74, &[0, 2, 0, 70][..]));
    let address = answer[8..72].split(|byte| *byte == 0).next().unwrap();
    (String::from_utf8(address.to_vec()).unwrap(), u16::from_be_bytes([answer[72], answer[73]]))
}
