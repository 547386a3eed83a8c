//! Sockets that receive what a server forwards, and read it burst by burst.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rookery_model::voice::{EncryptionMode, SecretKey};
use rookery_rtp::{HEADER_BYTES, Opener, TransportCipher};

/// A packet that takes longer was lost.
const PATIENCE: Duration = Duration::from_secs(120);
const BUFFER_BYTES: usize = 2_048;
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
