//! Sockets that receive what a server forwards, and read it burst by burst.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::cmsg_space;
use nix::sys::socket::sockopt::UdpGroSegment;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use rookery_model::voice::{EncryptionMode, SecretKey};
use rookery_rtp::{HEADER_BYTES, Opener, TransportCipher};

/// A packet that takes longer was lost.
const PATIENCE: Duration = Duration::from_secs(120);
const BUFFER_BYTES: usize = 2_048;
/// What the kernel puts together at most.
const TRAIN_BYTES: usize = 1 << 16;
/// Second bytes of RTCP packets without their marker (RFC 5761, section 4).
const RTCP: std::ops::Range<u8> = 64..96;

/// One receiver.
pub struct Sink {
    pub socket: UdpSocket,
    /// How to decrypt, where this process can.
    cipher: Option<(TransportCipher, Opener)>,
}

impl Sink {
    pub fn new(socket: UdpSocket, key: Option<(EncryptionMode, SecretKey)>) -> anyhow::Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let cipher = key.map(|(mode, key)| (TransportCipher::new(mode, &key), Opener::default()));
        Ok(Self { socket, cipher })
    }

    /// Takes packets that came together as they are, where each would else be taken for itself.
    pub fn take_trains(&self) -> anyhow::Result<()> {
        Ok(setsockopt(&self.socket, UdpGroSegment, &true)?)
    }

    /// The next packets that came together: how long all of them are, and the first.
    fn receive_train(&self, buffer: &mut [u8]) -> io::Result<(usize, usize)> {
        let mut slices = [IoSliceMut::new(buffer)];
        let mut control = cmsg_space!(i32);
        let message = recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty())?;
        let segment = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::UdpGroSegments(bytes) => usize::try_from(bytes).ok(),
            _ => None,
        });
        let first = segment.filter(|bytes| *bytes > 0).unwrap_or(message.bytes);
        Ok((message.bytes, first))
    }

    /// The next packet of sound; its length.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.socket.recv(buffer)?;
            // Other servers report to receivers, too.
            if length > HEADER_BYTES && !RTCP.contains(&(buffer[1] & 0x7f)) {
                return Ok(length);
            }
        }
    }
}

/// All receivers of a room, the one to whom a packet goes last at the end.
pub struct Sinks(Vec<Sink>);

impl Sinks {
    pub const fn new(sinks: Vec<Sink>) -> Self {
        Self(sinks)
    }
    pub const fn len(&self) -> usize {
        self.0.len()
    }
    pub fn iter(&self) -> impl Iterator<Item = &Sink> {
        self.0.iter()
    }
    pub fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        self.0.iter().map(|sink| Ok(sink.socket.local_addr()?)).collect()
    }

    /// Reads so many packets at each, the last receiver first: while this process waits for that one, the others' packets
    /// wake nobody, so the server is not charged for it.
    pub fn read(&self, packets: usize) -> anyhow::Result<()> {
        let mut buffer = [0; BUFFER_BYTES];
        for (at, sink) in self.0.iter().enumerate().rev() {
            for n in 0..packets {
                sink.receive(&mut buffer)
                    .with_context(|| format!("packet {n} of {packets} to receiver {at} is lost"))?;
            }
        }
        Ok(())
    }

    /// As [`read`](Self::read), of packets that may have come together.
    pub fn read_trains(&self, packets: usize) -> anyhow::Result<()> {
        let mut buffer = vec![0; TRAIN_BYTES];
        for (at, sink) in self.0.iter().enumerate().rev() {
            let mut came = 0;
            while came < packets {
                let (bytes, first) = sink
                    .receive_train(&mut buffer)
                    .with_context(|| format!("packet {came} of {packets} to receiver {at} is lost"))?;
                came += bytes.div_ceil(first);
            }
            ensure!(came == packets, "{came} packets of {packets} came to receiver {at}");
        }
        Ok(())
    }

    /// Reads one frame at each and decrypts its packets, which carry these payloads.
    pub fn check_video(&mut self, payloads: &[Vec<u8>]) -> anyhow::Result<()> {
        let mut buffer = vec![0; TRAIN_BYTES];
        for sink in self.0.iter_mut().rev() {
            let mut came = Vec::new();
            while came.len() < payloads.len() {
                let (bytes, first) = sink.receive_train(&mut buffer).context("a packet of video is lost")?;
                let Some((cipher, opener)) = &mut sink.cipher else { continue };
                for packet in buffer[..bytes].chunks_mut(first) {
                    let plain_len = opener.open(cipher, packet, HEADER_BYTES)?;
                    came.push(packet[HEADER_BYTES..plain_len].to_vec());
                }
            }
            ensure!(came == payloads, "what came is not what was sent");
        }
        Ok(())
    }

    /// Reads one packet at each and decrypts it: what is measured is what a client hears.
    pub fn check(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let mut buffer = [0; BUFFER_BYTES];
        for sink in self.0.iter_mut().rev() {
            let length = sink.receive(&mut buffer).context("a packet is lost")?;
            let Some((cipher, opener)) = &mut sink.cipher else { continue };
            let plain_len = opener.open(cipher, &mut buffer[..length], HEADER_BYTES)?;
            ensure!(&buffer[HEADER_BYTES..plain_len] == payload, "what came is not what was sent");
        }
        Ok(())
    }
}
