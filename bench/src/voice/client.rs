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

/// Members that join at the same time.
const AT_ONCE: usize = 64;
const OPUS: u8 = 120;
const SAMPLES_OF_PACKET: u32 = 960;

type Wire = WebSocketStream<TlsStream<TcpStream>>;

/// A room of a node, with everybody in it.
pub struct Room {
    pub speakers: Vec<Speaker>,
    pub listeners: Sinks,
    /// Whoever is not connected leaves.
    _wires: Vec<Wire>,
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
        let speakers = speakers.into_iter().map(|member| {
            member.socket.connect(member.media)?;
            wires.push(member.wire);
            Ok(Speaker {
                socket: member.socket,
                ssrc: member.ssrc,
                cipher: TransportCipher::new(mode, &member.key),
                sealer: Sealer::new([0; 4]),
                sequence: 0,
                buffer: Vec::new(),
            })
        });
        let speakers = speakers.collect::<anyhow::Result<_>>()?;
        Ok(Self { speakers, listeners: Sinks::new(sinks), _wires: wires })
    }
}

impl Speaker {
    /// Sends the next packet.
    pub fn say(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let header = RtpHeader {
            marker: false,
            payload_type: OPUS,
            sequence_number: self.sequence,
            timestamp: u32::from(self.sequence).wrapping_mul(SAMPLES_OF_PACKET),
            ssrc: self.ssrc,
        };
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
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(node.certificate.clone()))?;
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(tls));
    let join = |(user, token)| {
        let connector = connector.clone();
        async move { join(&connector, node.gateway, channel, mode, user, token).await.context("a member does not come in") }
    };
    stream::iter(members).map(join).buffered(AT_ONCE).try_collect().await
}

/// From connecting to SESSION_DESCRIPTION.
async fn join(
    connector: &TlsConnector,
    gateway: SocketAddr,
    channel: u64,
    mode: EncryptionMode,
    user: u64,
    token: String,
) -> anyhow::Result<Member> {
    let stream = TcpStream::connect(gateway).await?;
    let stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
    let (mut wire, _) =
        tokio_tungstenite::client_async(format!("wss://localhost:{}/?v=8", gateway.port()), stream).await?;
    let identify = json!({ "server_id": channel.to_string(), "user_id": user.to_string(),
                           "session_id": session_id(user), "token": token });
    send(&mut wire, 0, identify).await?;
    let ready = until(&mut wire, 2).await?;
    let ssrc = Ssrc(ready["ssrc"].as_u64().context("an SSRC")?.try_into()?);
    let port = u16::try_from(ready["port"].as_u64().context("a port")?)?;
    let media = SocketAddr::new(ready["ip"].as_str().context("an address")?.parse()?, port);
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    discover(&socket, media, ssrc).await?;
    let address = socket.local_addr()?;
    let data = json!({ "address": address.ip(), "port": address.port(), "mode": mode.name() });
    send(&mut wire, 1, json!({ "protocol": "udp", "data": data })).await?;
    let description = until(&mut wire, 4).await?;
    let key: Vec<u8> = serde_json::from_value(description["secret_key"].clone())?;
    let key = SecretKey(key.try_into().ok().context("a key of 32 bytes")?);
    let socket = socket.into_std()?;
    Ok(Member { wire, socket, media, ssrc, key })
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
