//! Members of a room: joined over the voice gateway as a bot does it, then a UDP socket each.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use futures_util::SinkExt as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rookery_model::voice::node::VoiceMemberFlags;
use rookery_model::voice::{EncryptionMode, SecretKey, Ssrc};
use rookery_rtp::{OVERHEAD_BYTES, RtpHeader, Sealer, TransportCipher};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::burst::{Sink, Sinks};
use super::node::{Node, session_id};
use super::video::{FRAME_PACKETS, FULL_BYTES, LAST_BYTES};

/// Members that join at the same time.
const AT_ONCE: usize = 64;
const OPUS: u8 = 120;
const SAMPLES_OF_PACKET: u32 = 960;
const VP8: u8 = 101;
const TICKS_OF_FRAME: u32 = 90_000 / 60;
const KEY_FRAME_EVERY: u16 = 60;

/// A connection to the voice gateway.
pub type Wire = WebSocketStream<TlsStream<TcpStream>>;

/// A room of a node, with everybody in it.
pub struct Room {
    pub speakers: Vec<Speaker>,
    pub listeners: Sinks,
    /// Whoever is not connected leaves.
    _wires: Vec<Wire>,
}

/// A room of a node in which one shows something and everybody else looks on.
pub struct VideoRoom {
    pub camera: Camera,
    pub viewers: Sinks,
    /// Whoever is not connected leaves.
    _wires: Vec<Wire>,
}

/// Somebody who shows something: frames of VP8, all alike but for their numbers.
pub struct Camera {
    sender: Speaker,
    frames: u16,
}

/// Somebody who sends, and hears nothing.
pub struct Speaker {
    socket: UdpSocket,
    ssrc: Ssrc,
    cipher: TransportCipher,
    sealer: Sealer,
    sequence: u16,
    buffer: Vec<u8>,
}

/// What a member has once it is in.
struct Member {
    wire: Wire,
    socket: UdpSocket,
    media: SocketAddr,
    ssrc: Ssrc,
    video_ssrc: Ssrc,
    key: SecretKey,
}

impl Room {
    /// Fills a room; the last listener comes when all others are in, so that it is the last one to whom a packet goes.
    pub async fn fill(
        node: &mut Node,
        channel: u64,
        mode: EncryptionMode,
        speakers: usize,
        listeners: usize,
    ) -> anyhow::Result<Self> {
        let users = |first: usize, count: usize| (first..first + count).map(|user| user as u64 + 1).collect::<Vec<_>>();
        let deaf = VoiceMemberFlags { server_deafened: true, ..VoiceMemberFlags::SPEAKER };
        let (speaking, listening) = (users(0, speakers), users(speakers, listeners));
        let tokens = node.prepare(channel, speaking.clone(), deaf)?;
        let speakers = join_all(node, channel, mode, speaking.into_iter().zip(tokens)).await?;
        let tokens = node.prepare(channel, listening.clone(), VoiceMemberFlags::SPEAKER)?;
        let mut others: Vec<_> = listening.into_iter().zip(tokens).collect();
        let last = others.pop().context("nobody listens")?;
        let mut listeners = join_all(node, channel, mode, others.into_iter()).await?;
        listeners.extend(join_all(node, channel, mode, std::iter::once(last)).await?);
        let mut wires = Vec::new();
        let mut sinks = Vec::new();
        for member in listeners {
            sinks.push(Sink::new(member.socket, Some((mode, member.key)))?);
            wires.push(member.wire);
        }
        let speakers = speakers.into_iter().map(|member| Speaker::new(mode, member, &mut wires));
        let speakers = speakers.collect::<anyhow::Result<_>>()?;
        Ok(Self { speakers, listeners: Sinks::new(sinks), _wires: wires })
    }
}

impl VideoRoom {
    /// Fills a room; everybody has said what it shows and wants, and what that leads to is on its way in the node.
    pub async fn fill(node: &mut Node, channel: u64, mode: EncryptionMode, viewers: usize) -> anyhow::Result<Self> {
        let flags = VoiceMemberFlags { may_stream: true, ..VoiceMemberFlags::SPEAKER };
        let users: Vec<u64> = (1..=viewers as u64 + 1).collect();
        let tokens = node.prepare(channel, users.clone(), flags)?;
        let mut members = join_all(node, channel, mode, users.into_iter().zip(tokens)).await?;
        let mut camera = members.remove(0);
        let streams = json!([{ "type": "video", "rid": "100", "quality": 100, "active": true,
                               "ssrc": camera.video_ssrc.0, "rtx_ssrc": 0 }]);
        let video = json!({ "audio_ssrc": camera.ssrc.0, "video_ssrc": camera.video_ssrc.0, "rtx_ssrc": 0, "streams": streams });
        send(&mut camera.wire, 12, video).await?;
        settled(&mut camera.wire).await?;
        let mut wires = Vec::new();
        let mut sinks = Vec::new();
        for mut member in members {
            send(&mut member.wire, 15, json!({ "any": 100 })).await?;
            settled(&mut member.wire).await?;
            let sink = Sink::new(member.socket, Some((mode, member.key)))?;
            sink.take_trains()?;
            sinks.push(sink);
            wires.push(member.wire);
        }
        let ssrc = camera.video_ssrc;
        let sender = Speaker::new(mode, Member { ssrc, ..camera }, &mut wires)?;
        Ok(Self { camera: Camera { sender, frames: 0 }, viewers: Sinks::new(sinks), _wires: wires })
    }
}

impl Camera {
    /// Sends the next frame.
    pub fn show(&mut self) -> anyhow::Result<()> {
        let timestamp = u32::from(self.frames).wrapping_mul(TICKS_OF_FRAME);
        let payloads = Self::payloads(self.frames);
        for (at, payload) in payloads.iter().enumerate() {
            let marker = at + 1 == payloads.len();
            self.sender.send(marker, VP8, timestamp, payload)?;
        }
        self.frames = self.frames.wrapping_add(1);
        Ok(())
    }

    /// What the packets of the first frame carry.
    pub fn payloads_of_first() -> Vec<Vec<u8>> {
        Self::payloads(0)
    }

    /// Descriptors with a picture's number of 15 bits, as browsers send them; a key frame now and then.
    fn payloads(frame: u16) -> Vec<Vec<u8>> {
        let [high, low] = (frame & 0x7fff).to_be_bytes();
        let packet = |at: usize| {
            let bytes = if at + 1 == FRAME_PACKETS { LAST_BYTES } else { FULL_BYTES };
            let begins = if at == 0 { 0x10 } else { 0 };
            let mut payload = vec![0x80 | begins, 0x80, 0x80 | high, low];
            payload.push(u8::from(!frame.is_multiple_of(KEY_FRAME_EVERY)));
            payload.resize(bytes, 7);
            payload
        };
        (0..FRAME_PACKETS).map(packet).collect()
    }
}

impl Speaker {
    /// Sends from a member's socket; its connection is kept elsewhere.
    fn new(mode: EncryptionMode, member: Member, wires: &mut Vec<Wire>) -> anyhow::Result<Self> {
        member.socket.connect(member.media)?;
        wires.push(member.wire);
        Ok(Self {
            socket: member.socket,
            ssrc: member.ssrc,
            cipher: TransportCipher::new(mode, &member.key),
            sealer: Sealer::new([0; 4]),
            sequence: 0,
            buffer: Vec::new(),
        })
    }

    /// Sends the next packet of sound.
    pub fn say(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let timestamp = u32::from(self.sequence.wrapping_add(1)).wrapping_mul(SAMPLES_OF_PACKET);
        self.send(false, OPUS, timestamp, payload)
    }

    fn send(&mut self, marker: bool, payload_type: u8, timestamp: u32, payload: &[u8]) -> anyhow::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let (sequence_number, ssrc) = (self.sequence, self.ssrc);
        let header = RtpHeader { marker, payload_type, sequence_number, timestamp, ssrc };
        let header = header.to_bytes();
        self.buffer.clear();
        self.buffer.extend_from_slice(&header);
        self.buffer.extend_from_slice(payload);
        let plain_len = self.buffer.len();
        self.buffer.resize(plain_len + OVERHEAD_BYTES, 0);
        let length = self.sealer.seal(&self.cipher, &mut self.buffer, header.len(), plain_len)?;
        self.socket.send(&self.buffer[..length])?;
        Ok(())
    }
}

async fn join_all(
    node: &Node,
    channel: u64,
    mode: EncryptionMode,
    members: impl Iterator<Item = (u64, String)>,
) -> anyhow::Result<Vec<Member>> {
    let connector = connector(node)?;
    let join = |(user, token)| {
        let entered = enter(&connector, node.gateway, channel, user, token);
        async move { select_udp(entered.await?, mode).await }
    };
    let join = |member| {
        let joined = join(member);
        async { joined.await.context("a member does not come in") }
    };
    stream::iter(members).map(join).buffered(AT_ONCE).try_collect().await
}

/// Trusts the node.
pub fn connector(node: &Node) -> anyhow::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(node.certificate.clone()))?;
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(tls)))
}

/// From connecting to READY.
pub async fn enter(
    connector: &TlsConnector,
    gateway: SocketAddr,
    channel: u64,
    user: u64,
    token: String,
) -> anyhow::Result<(Wire, Value)> {
    let stream = TcpStream::connect(gateway).await?;
    let stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
    let (mut wire, _) =
        tokio_tungstenite::client_async(format!("wss://localhost:{}/?v=8", gateway.port()), stream).await?;
    let identify = json!({ "server_id": channel.to_string(), "user_id": user.to_string(),
                           "session_id": session_id(user), "token": token, "video": true });
    send(&mut wire, 0, identify).await?;
    let ready = until(&mut wire, 2).await?;
    Ok((wire, ready))
}

/// The answer to an offer.
pub async fn select_web_rtc(wire: &mut Wire, offer: &str) -> anyhow::Result<String> {
    send(wire, 1, json!({ "protocol": "webrtc", "data": offer, "sdp": offer })).await?;
    let description = until(wire, 4).await?;
    Ok(description["sdp"].as_str().context("an answer")?.to_owned())
}

/// From READY to SESSION_DESCRIPTION.
async fn select_udp((mut wire, ready): (Wire, Value), mode: EncryptionMode) -> anyhow::Result<Member> {
    let ssrc = Ssrc(ready["ssrc"].as_u64().context("an SSRC")?.try_into()?);
    let video_ssrc = Ssrc(ready["streams"][0]["ssrc"].as_u64().context("an SSRC for video")?.try_into()?);
    let port = u16::try_from(ready["port"].as_u64().context("a port")?)?;
    let media = SocketAddr::new(ready["ip"].as_str().context("an address")?.parse()?, port);
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    discover(&socket, media, ssrc).await?;
    let address = socket.local_addr()?;
    let data = json!({ "address": address.ip(), "port": address.port(), "mode": mode.name() });
    let codec = |name, kind, payload_type| json!({ "name": name, "type": kind, "priority": 1_000, "payload_type": payload_type });
    let codecs = [codec("opus", "audio", OPUS), codec("VP8", "video", VP8)];
    send(&mut wire, 1, json!({ "protocol": "udp", "data": data, "codecs": codecs })).await?;
    let description = until(&mut wire, 4).await?;
    let key: Vec<u8> = serde_json::from_value(description["secret_key"].clone())?;
    let key = SecretKey(key.try_into().ok().context("a key of 32 bytes")?);
    let socket = socket.into_std()?;
    Ok(Member { wire, socket, media, ssrc, video_ssrc, key })
}

/// IP discovery, which shows the node where this socket is.
async fn discover(socket: &tokio::net::UdpSocket, media: SocketAddr, ssrc: Ssrc) -> anyhow::Result<()> {
    let mut request = [0; 74];
    request[1] = 1;
    request[3] = 70;
    request[4..8].copy_from_slice(&ssrc.0.to_be_bytes());
    socket.send_to(&request, media).await?;
    let mut answer = [0; 80];
    let (length, from) = socket.recv_from(&mut answer).await?;
    ensure!(length == 74 && from == media && answer[1] == 2, "no answer to IP discovery");
    Ok(())
}

async fn send(wire: &mut Wire, op: u8, data: Value) -> anyhow::Result<()> {
    wire.send(Message::text(json!({ "op": op, "d": data }).to_string())).await?;
    Ok(())
}

/// Waits until the node has acted on what was said before.
async fn settled(wire: &mut Wire) -> anyhow::Result<()> {
    send(wire, 3, json!({ "t": 1, "seq_ack": 0 })).await?;
    until(wire, 6).await?;
    Ok(())
}

/// The data of the next message with an opcode.
async fn until(wire: &mut Wire, op: u64) -> anyhow::Result<Value> {
    while let Some(message) = wire.next().await {
        match message? {
            Message::Text(text) => {
                let mut value: Value = serde_json::from_str(&text)?;
                if value["op"] == op {
                    return Ok(value["d"].take());
                }
            }
            Message::Close(frame) => bail!("closed with {frame:?} before {op}"),
            _ => {}
        }
    }
    bail!("closed before {op}")
}
