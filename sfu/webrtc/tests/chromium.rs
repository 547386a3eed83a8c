//! Real Chromium, two pages of it, through one endpoint on one socket: each sends sound and a picture, and counts what it
//! decodes of the other's.
//!
//! The pages are served from here; they post their offers and then what `getStats` says.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "what the test is made of fails and prints like a test")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use rookery_model::voice::Ssrc;
use rookery_rtp::extension::ElementWriter;
use rookery_rtp::rtcp::{self, Rtcp};
use rookery_rtp::{RtpHeader, RtpPacket};
use rookery_webrtc::{
    Certificate, Codec, Event, MediaKind, Offer, PeerId, Received, WebRtcConfig, WebRtcEndpoint, WebRtcLimits,
};

const BROWSER: &str = "ROOKERY_CHROMIUM";
const SKIP: &str = "ROOKERY_SKIP_CLIENTS";
const PATIENCE: Duration = Duration::from_secs(120);
/// What each page is to decode.
const FRAMES: u64 = 30;
const AUDIO_PACKETS: u64 = 100;

/// Sends its offer, then once a second what it decoded: `frames audio_packets energy state:cipher`.
const PAGE: &str = r#"<!doctype html><script type="module">
const id = location.hash.slice(1);
const post = async (path, body) => (await fetch(path + id, { method: "POST", body })).text();
try {
  const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240 } });
  for (const track of stream.getTracks()) pc.addTrack(track, stream);
  pc.ontrack = ({ track }) => {
    const element = document.createElement(track.kind);
    element.autoplay = true;
    element.srcObject = new MediaStream([track]);
    document.body.append(element);
  };
  await pc.setLocalDescription();
  await pc.setRemoteDescription({ type: "answer", sdp: await post("/offer/", pc.localDescription.sdp) });
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    let frames = 0, packets = 0, energy = 0, cipher = "";
    for (const report of (await pc.getStats()).values()) {
      cipher ||= report.srtpCipher ?? "";
      if (report.type !== "inbound-rtp") continue;
      frames += report.framesDecoded ?? 0;
      if (report.kind === "audio") { packets += report.packetsReceived; energy += report.totalAudioEnergy ?? 0; }
    }
    await post("/stats/", `${frames} ${packets} ${energy} ${pc.connectionState}:${cipher}`);
  }
} catch (error) { await post("/error/", String(error)); }
</script>"#;

/// Ends the browser with the test, however that ends.
struct Browser {
    child: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn start(program: PathBuf, page: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
            .args(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"])
            .args(["--autoplay-policy=no-user-gesture-required", "--allow-loopback-in-peer-connection"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(page)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, _profile: profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page's end, as a shell would keep it.
struct Page {
    peer: PeerId,
    opus: u8,
    vp8: u8,
    /// The id of the extension, and the names of the sections.
    mid: u8,
    sound_mid: String,
    picture_mid: String,
    audio: Ssrc,
    video: Ssrc,
    /// What the page sends its picture under, once that is known.
    picture: Option<Ssrc>,
    stats: (u64, u64, f64),
    state: String,
}

struct Sfu {
    socket: UdpSocket,
    endpoint: WebRtcEndpoint<String>,
    pages: HashMap<String, Page>,
    epoch: Instant,
}

impl Sfu {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let (epoch, certificate) = (Instant::now(), Certificate::generate().unwrap());
        let candidates = vec![socket.local_addr().unwrap()];
        let config = WebRtcConfig { certificate, candidates, epoch, limits: WebRtcLimits::default() };
        Self { socket, endpoint: WebRtcEndpoint::new(config).unwrap(), pages: HashMap::new(), epoch }
    }

    fn now_ms(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    fn answer(&mut self, name: &str, sdp: &str) -> String {
        let offer = Offer::parse(sdp).unwrap_or_else(|error| panic!("{error}: {sdp}"));
        let number = |wanted: Codec| offer.codecs().find(|codec| codec.codec == wanted).unwrap().payload_type;
        let (opus, vp8) = (number(Codec::Opus), number(Codec::Vp8));
        let peer = self.endpoint.insert(self.now_ms(), offer.transport.clone(), name.to_owned()).unwrap();
        let base = 1_000 * (self.pages.len() as u32 + 1);
        let (audio, video) = (Ssrc(base), Ssrc(base + 1));
        let answer = offer.answer(&self.endpoint.local(peer).unwrap());
        let named = |wanted: MediaKind| offer.media().find(|section| section.1 == wanted).unwrap().0.to_owned();
        let page = Page {
            peer,
            opus,
            vp8,
            mid: offer.extensions().mid.unwrap(),
            sound_mid: named(MediaKind::Audio),
            picture_mid: named(MediaKind::Video),
            audio,
            video,
            picture: None,
            stats: (0, 0, 0.0),
            state: String::new(),
        };
        self.pages.insert(name.to_owned(), page);
        answer
    }

    /// Takes what there is on the socket, and sends what it leads to.
    fn turn(&mut self) {
        let mut buffer = [0; 2_048];
        // There is always something, so the pages' requests would wait for ever.
        for _ in 0..64 {
            let Ok((len, from)) = self.socket.recv_from(&mut buffer) else { break };
            self.take(from, &mut buffer[..len]);
        }
        self.endpoint.handle_timeout(self.now_ms());
        while let Some((to, datagram)) = self.endpoint.poll_transmit() {
            self.socket.send_to(&datagram, to).unwrap();
        }
        while let Some(event) = self.endpoint.poll_event() {
            assert!(matches!(event, Event::Connected(_)), "{event:?}; {:?}", self.endpoint.drops());
        }
    }

    fn take(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        let now_ms = self.now_ms();
        match self.endpoint.handle_datagram(now_ms, from, datagram) {
            Received::Answer(answer) => {
                self.socket.send_to(answer, from).unwrap();
            }
            Received::Rtp { peer, packet } => {
                let packet = packet.to_vec();
                self.forward(peer, &packet);
            }
            Received::Rtcp { peer, compound } => {
                let mut wants_key_frame = false;
                let _ = rtcp::read(compound, |report| {
                    wants_key_frame |= matches!(report, Rtcp::Pli { .. } | Rtcp::Fir { .. })
                });
                if wants_key_frame {
                    self.ask_for_key_frame(peer);
                }
            }
            _ => {}
        }
    }

    /// To the other page, under its payload types and SSRCs of the server's.
    fn forward(&mut self, from: PeerId, packet: &[u8]) {
        let packet = RtpPacket::parse(packet).unwrap();
        let Some(name) = self.endpoint.get(from).map(|peer| peer.key.clone()) else { return };
        let Some(sender) = self.pages.get_mut(&name) else { return };
        let number = packet.header.payload_type;
        let (is_audio, ssrc) = match number {
            _ if number == sender.opus => (true, sender.audio),
            _ if number == sender.vp8 => {
                sender.picture = Some(packet.header.ssrc);
                (false, sender.video)
            }
            // What is sent again, and probes.
            _ => return,
        };
        for (_, page) in self.pages.iter().filter(|(other, _)| **other != name) {
            let (payload_type, mid) =
                if is_audio { (page.opus, &page.sound_mid) } else { (page.vp8, &page.picture_mid) };
            let mut elements = [0; 20];
            let mut writer = ElementWriter::new(&mut elements);
            assert!(writer.push(page.mid, mid.as_bytes()));
            let elements = writer.finish();
            let header = RtpHeader { ssrc, payload_type, ..packet.header };
            let peer = self.endpoint.get_mut(page.peer).unwrap();
            let mut buffer = [0; 2_048];
            if let (Some(address), Ok(len)) =
                (peer.address(), peer.write_rtp_with(&header, elements, packet.payload(), &mut buffer))
            {
                self.socket.send_to(&buffer[..len], address).unwrap();
            }
        }
    }

    fn ask_for_key_frame(&mut self, by: PeerId) {
        for page in self.pages.values().filter(|page| page.peer != by) {
            let Some(picture) = page.picture else { continue };
            let pli = rtcp::write_pli(Ssrc(1), picture);
            let peer = self.endpoint.get_mut(page.peer).unwrap();
            let mut buffer = [0; 128];
            if let (Some(address), Ok(len)) = (peer.address(), peer.write_rtcp(&pli, &mut buffer)) {
                self.socket.send_to(&buffer[..len], address).unwrap();
            }
        }
    }

    /// Answers a request of a page.
    fn serve(&mut self, request: &Request) {
        let answer = match request.path.rsplit_once('/') {
            Some(("/offer", name)) => self.answer(name, &request.body),
            Some(("/stats", name)) => self.note(name, &request.body),
            Some(("/error", name)) => panic!("page {name}: {}", request.body),
            _ => PAGE.to_owned(),
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close";
        // Whoever does not wait for it is no fault.
        let _ = write!(&request.stream, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
    }

    fn note(&mut self, name: &str, stats: &str) -> String {
        let mut words = stats.split(' ');
        let frames = words.next().unwrap().parse().unwrap();
        let packets = words.next().unwrap().parse().unwrap();
        let energy = words.next().unwrap().parse().unwrap();
        let page = self.pages.get_mut(name).unwrap();
        page.stats = (frames, packets, energy);
        page.state = words.next().unwrap().to_owned();
        String::new()
    }
}

/// What a page asks.
struct Request {
    path: String,
    body: String,
    stream: TcpStream,
}

impl Request {
    /// None for a connection that the browser opened in vain.
    fn read(stream: TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(&stream);
        let (mut first, mut body_bytes) = (String::new(), 0);
        reader.read_line(&mut first).ok()?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                body_bytes = text.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; body_bytes];
        reader.read_exact(&mut body).ok()?;
        let path = first.split(' ').nth(1)?.to_owned();
        Some(Self { path, body: String::from_utf8(body).ok()?, stream })
    }

    /// All that come, each connection in a thread of its own; they end with the test's process.
    fn all(listener: TcpListener) -> Receiver<Self> {
        let (sender, receiver) = sync_channel(16);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                std::thread::spawn(move || Self::read(stream).map(|request| sender.send(request)));
            }
        });
        receiver
    }
}

#[test]
fn two_pages_see_and_hear_each_other() {
    let Some(program) = std::env::var_os(BROWSER) else {
        assert!(std::env::var_os(SKIP).is_some(), "{BROWSER} is not set: use `cargo xtask test`, or set {SKIP}=1");
        eprintln!("SKIPPED, because {SKIP} is set");
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let page = format!("http://{}/", listener.local_addr().unwrap());
    let requests = Request::all(listener);
    let mut sfu = Sfu::new();
    let _one = Browser::start(program.clone().into(), &format!("{page}#one"));
    let _other = Browser::start(program.into(), &format!("{page}#other"));
    let begin = Instant::now();
    let is_enough = |page: &Page| page.stats.0 >= FRAMES && page.stats.1 >= AUDIO_PACKETS && page.stats.2 > 0.0;
    while sfu.pages.len() < 2 || !sfu.pages.values().all(is_enough) {
        let stats: Vec<_> = sfu.pages.values().map(|page| (page.stats, &page.state)).collect();
        assert!(begin.elapsed() < PATIENCE, "{stats:?}; {:?}", sfu.endpoint.drops());
        sfu.turn();
        while let Ok(request) = requests.try_recv() {
            sfu.serve(&request);
        }
    }
    for page in sfu.pages.values() {
        assert!(page.state.contains("GCM"), "the fast encryption, though browsers name another first: {}", page.state);
    }
    let drops = sfu.endpoint.drops();
    assert_eq!(drops.total(), 0, "{drops:?}");
}
