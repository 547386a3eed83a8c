//! A client of the voice gateway and of UDP voice: it says that it speaks, shows a picture, or sees those of others.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use rookery_model::voice::{EncryptionMode, SecretKey};
use rookery_rtp::{Opener, Sealer, TransportCipher};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::PATIENCE;

const MODE: &str = "aead_aes256_gcm_rtpsize";
const OPUS: u8 = 120;
const VP8: u8 = 103;
/// Between two pictures.
const FRAME: Duration = Duration::from_millis(40);

/// What a voice connection is for, as IDENTIFY says it.
#[derive(Clone, Debug)]
pub struct VoicePlace {
    pub server_id: String,
    pub channel_id: String,
    pub user_id: String,
    /// Of the user's voice state.
    pub session_id: String,
}

impl VoicePlace {
    /// Of a stream, which STREAM_CREATE told the session of a user with this voice state.
    pub fn of_stream(created: &Value, user_id: &str, session_id: &str) -> anyhow::Result<Self> {
        let id = |name: &str| created[name].as_str().map(str::to_owned).with_context(|| format!("{name}: {created}"));
        let (server_id, channel_id) = (id("rtc_server_id")?, id("rtc_channel_id")?);
        Ok(Self { server_id, channel_id, user_id: user_id.to_owned(), session_id: session_id.to_owned() })
    }
}

/// A voice connection with a key.
pub struct VoiceClient {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    udp: UdpSocket,
    cipher: TransportCipher,
    sealer: Sealer,
    opener: Opener,
    ssrc: u32,
    video: Value,
    sequence: u16,
    begun: Instant,
}

impl VoiceClient {
    /// Connects where a VOICE_SERVER_UPDATE or STREAM_SERVER_UPDATE says, up to SESSION_DESCRIPTION, and wants to see all.
    pub async fn connect(server: &Value, ca_file: &Path, place: &VoicePlace) -> anyhow::Result<Self> {
        let endpoint = server["endpoint"].as_str().context("a voice node")?;
        let mut socket = timeout(PATIENCE, open(endpoint, ca_file)).await.context("no handshake in time")??;
        let VoicePlace { server_id, channel_id, user_id, session_id } = place;
        let streams = json!([{ "type": "screen", "rid": "100", "quality": 100 }]);
        let identify = json!({ "server_id": server_id, "channel_id": channel_id, "user_id": user_id,
            "session_id": session_id, "token": server["token"], "video": true, "streams": streams,
            "max_dave_protocol_version": 0 });
        send(&mut socket, 0, identify).await?;
        let ready = until(&mut socket, 2).await?;
        let ssrc = number(&ready["ssrc"])?;
        let media = format!("{}:{}", ready["ip"].as_str().context("an address")?, ready["port"]);
        let udp = UdpSocket::bind("127.0.0.1:0").await?;
        udp.connect(media.parse::<SocketAddr>()?).await?;
        let local = udp.local_addr()?;
        let data = json!({ "address": local.ip(), "port": local.port(), "mode": MODE });
        let codecs = json!([
            { "name": "opus", "type": "audio", "priority": 1_000, "payload_type": OPUS },
            { "name": "VP8", "type": "video", "priority": 1_000, "payload_type": VP8, "rtx_payload_type": VP8 + 1 }]);
        discover(&udp, ssrc).await?;
        send(&mut socket, 1, json!({ "protocol": "udp", "data": data, "codecs": codecs })).await?;
        let description = until(&mut socket, 4).await?;
        let key: Vec<u8> = serde_json::from_value(description["secret_key"].clone())?;
        let key = SecretKey(key.try_into().ok().context("a key of 32 bytes")?);
        let mode = EncryptionMode::from_name(MODE).context("a mode")?;
        send(&mut socket, 15, json!({ "any": 100 })).await?;
        Ok(Self {
            socket,
            udp,
            cipher: TransportCipher::new(mode, &key),
            sealer: Sealer::new([0; 4]),
            opener: Opener::default(),
            ssrc,
            video: ready["streams"][0].clone(),
            sequence: 0,
            begun: Instant::now(),
        })
    }

    /// Says how it speaks, in the bits of SPEAKING.
    pub async fn speak(&mut self, flags: u32) -> anyhow::Result<()> {
        send(&mut self.socket, 5, json!({ "speaking": flags, "delay": 0, "ssrc": self.ssrc })).await
    }

    /// How a user speaks, when that is told next.
    pub async fn hears_speak(&mut self, user_id: &str) -> anyhow::Result<u64> {
        loop {
            let speaking = until(&mut self.socket, 5).await?;
            if speaking["user_id"] == user_id {
                return speaking["speaking"].as_u64().with_context(|| format!("how: {speaking}"));
            }
        }
    }

    /// Says that it shows its screen.
    pub async fn show(&mut self) -> anyhow::Result<()> {
        let (ssrc, rtx_ssrc) = (&self.video["ssrc"], &self.video["rtx_ssrc"]);
        let stream = json!({ "type": "screen", "rid": "100", "ssrc": ssrc, "rtx_ssrc": rtx_ssrc, "active": true,
            "quality": 100, "max_bitrate": 1_000_000, "max_framerate": 30 });
        let video = json!({ "audio_ssrc": self.ssrc, "video_ssrc": ssrc, "rtx_ssrc": rtx_ssrc, "streams": [stream] });
        send(&mut self.socket, 12, video).await
    }

    /// Sends a picture that needs no other, of VP8, with this byte behind its head.
    pub async fn picture(&mut self, mark: u8) -> anyhow::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        // The field counts in 90 kHz and goes round.
        let timestamp = (self.begun.elapsed().as_micros() * 9 / 100) as u32;
        let mut packet = vec![0x80, 0x80 | VP8];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(number(&self.video["ssrc"])?.to_be_bytes());
        let head = packet.len();
        let [width, height] = [640_u16, 360].map(u16::to_le_bytes);
        packet.extend([0x10, 0x50, 0, 0, 0x9d, 1, 0x2a, width[0], width[1], height[0], height[1], mark]);
        let plain = packet.len();
        packet.resize(plain + 20, 0);
        let length = self.sealer.seal(&self.cipher, &mut packet, head, plain);
        let length = length.ok().context("a packet that can be encrypted")?;
        self.udp.send(&packet[..length]).await.map(drop).context("sending a picture")
    }

    /// The mark of the next picture that comes.
    pub async fn sees(&mut self) -> anyhow::Result<u8> {
        loop {
            let mut buffer = [0; 2_048];
            let length = timeout(PATIENCE, self.udp.recv(&mut buffer)).await.context("no picture comes")??;
            let packet = &mut buffer[..length];
            if packet.get(1).is_none_or(|second| second & 0x7f != VP8) {
                continue;
            }
            let end = self.opener.open(&self.cipher, packet, 12).ok().context("encrypted for somebody else")?;
            return Ok(packet[end - 1]);
        }
    }

    /// Waits until this one sees a picture that another shows meanwhile, again and again as screens do; how often it did.
    pub async fn sees_from(&mut self, other: &mut Self, mark: u8) -> anyhow::Result<u32> {
        let mut frames = tokio::time::interval(FRAME);
        let mut shown = 0;
        loop {
            tokio::select! {
                seen = self.sees() => if seen? == mark {
                    return Ok(shown);
                },
                _ = frames.tick() => {
                    other.picture(mark).await?;
                    shown += 1;
                }
            }
        }
    }

    /// Reads what the server says until it closes, or the connection breaks; the code.
    pub async fn closed(&mut self) -> anyhow::Result<Option<u16>> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.context("it is not closed")? {
                Some(Ok(Message::Close(frame))) => return Ok(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

async fn open(endpoint: &str, ca_file: &Path) -> anyhow::Result<WebSocketStream<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (host, _) = endpoint.rsplit_once(':').context("host and port")?;
    let stream = TcpStream::connect(endpoint).await?;
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
    Ok(tokio_tungstenite::client_async(format!("wss://{endpoint}/?v=8"), stream).await?.0)
}

async fn send(socket: &mut WebSocketStream<TlsStream<TcpStream>>, op: u8, d: Value) -> anyhow::Result<()> {
    socket.send(Message::text(json!({ "op": op, "d": d }).to_string())).await.context("sending to the voice gateway")
}

/// The data of the next message with an opcode; others are passed over.
async fn until(socket: &mut WebSocketStream<TlsStream<TcpStream>>, op: u64) -> anyhow::Result<Value> {
    loop {
        match timeout(PATIENCE, socket.next()).await.with_context(|| format!("{op} does not come"))? {
            Some(Ok(Message::Text(text))) => {
                let mut payload: Value = serde_json::from_str(text.as_str())?;
                if payload["op"] == op {
                    return Ok(payload["d"].take());
                }
            }
            other => bail!("{other:?} instead of {op}"),
        }
    }
}

/// IP discovery: from then on the server knows where this is.
async fn discover(udp: &UdpSocket, ssrc: u32) -> anyhow::Result<()> {
    let mut request = vec![0, 1, 0, 70];
    request.extend(ssrc.to_be_bytes());
    request.resize(74, 0);
    udp.send(&request).await?;
    let mut answer = [0; 100];
    let length = timeout(PATIENCE, udp.recv(&mut answer)).await.context("no answer to IP discovery")??;
    ensure!(length == 74 && answer[..4] == [0, 2, 0, 70], "{:?}", &answer[..length]);
    Ok(())
}

fn number(value: &Value) -> anyhow::Result<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).with_context(|| format!("{value} is no SSRC"))
}
