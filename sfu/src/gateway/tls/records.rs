//! Records of TLS 1.3 after the handshake (RFC 8446, section 5), whose secrets are rustls's.
//!
//! A key is made ready for each record: what that costs is nothing beside a system call, and a connection that idles keeps the
//! 32 bytes of the key instead of more than 500 of what is made of it.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce as RingNonce, Tag, UnboundKey};
use rustls::ConnectionTrafficSecrets;
use rustls::crypto::cipher::{Iv, Nonce, make_tls13_aad};
use rustls::kernel::KernelConnection;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};

/// Type, version and length of a record.
const HEADER_BYTES: usize = 5;
const TAG_BYTES: usize = 16;
/// What one record carries at most, and how much longer it is encrypted.
const CONTENT_MAX_BYTES: usize = 16_384;
const EXPANSION_MAX_BYTES: usize = 256;
/// Records under one key. Below the limits of all ciphers (RFC 8446, section 5.5).
const RECORDS_OF_KEY: u64 = 1 << 24;
/// KeyUpdate, of which the last byte says whether we are to do the same.
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Alert = 21,
    Handshake = 22,
    Data = 23,
}

/// Why a connection cannot go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("a record that may not come here, or is too long")]
    Unexpected,
    #[error("a record cannot be decrypted")]
    Decrypt,
    #[error("the peer gave up: alert {0}")]
    Alert(u8),
    #[error("no key for what is to be sent")]
    Encrypt,
    #[error(transparent)]
    Keys(#[from] rustls::Error),
}

/// One direction.
struct Direction {
    secrets: ConnectionTrafficSecrets,
    sequence: u64,
}

/// Both directions of a connection.
pub(super) struct Records {
    kernel: KernelConnection<ServerConnectionData>,
    read: Direction,
    write: Direction,
    /// That may be sent under the key.
    records_left: u64,
}

/// What became of what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// There may be more of it later.
    Open,
    /// The peer said that it sends no more.
    Closed,
}

impl Records {
    /// Takes a connection over whose handshake is done, and whose configuration lets its secrets be taken.
    pub(super) fn new(connection: UnbufferedServerConnection) -> Result<Self, RecordError> {
        let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
        let direction = |(sequence, secrets)| Direction { secrets, sequence };
        Ok(Self { kernel, read: direction(secrets.rx), write: direction(secrets.tx), records_left: RECORDS_OF_KEY })
    }

    /// Encrypts data behind what is to be sent.
    pub(super) fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
        for piece in data.chunks(CONTENT_MAX_BYTES) {
            if self.records_left == 0 {
                self.update_write(out)?;
            }
            self.records_left -= 1;
            self.write.seal(Content::Data, piece, out)?;
        }
        Ok(())
    }

    /// Says that nothing more comes.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        self.write.seal(Content::Alert, &CLOSE_NOTIFY, out)
    }

    /// Takes the whole records out of what came; data goes to `plain`, and what has to be answered to `out`.
    pub(super) fn take(
        &mut self,
        incoming: &mut Vec<u8>,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Taken, RecordError> {
        let mut done = 0;
        let mut taken = Taken::Open;
        while taken == Taken::Open
            && let Some(length) = record_bytes(&incoming[done..])?
        {
            let Some(record) = incoming.get_mut(done..done + length) else { break };
            done += length;
            match self.read.open(record)? {
                (kind, content) if kind == Content::Data as u8 => plain.extend_from_slice(content),
                (kind, content) if kind == Content::Alert as u8 => taken = alert(content)?,
                (kind, &[a, b, c, d, update @ (0 | 1)])
                    if kind == Content::Handshake as u8 && [a, b, c, d] == KEY_UPDATE =>
                {
                    let (sequence, secrets) = self.kernel.update_rx_secret()?;
                    self.read = Direction { secrets, sequence };
                    if update == 1 {
                        self.update_write(out)?;
                    }
                }
                _ => return Err(RecordError::Unexpected),
            }
        }
        incoming.drain(..done);
        Ok(taken)
    }

    /// As if very many records had been sent.
    #[cfg(test)]
    pub(super) const fn exhaust_write_key(&mut self) {
        self.records_left = 0;
    }

    /// Takes another key for what is sent, and says so under the old one.
    fn update_write(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let [a, b, c, d] = KEY_UPDATE;
        self.write.seal(Content::Handshake, &[a, b, c, d, 0], out)?;
        let (sequence, secrets) = self.kernel.update_tx_secret()?;
        (self.write, self.records_left) = (Direction { secrets, sequence }, RECORDS_OF_KEY);
        Ok(())
    }
}

/// The whole length of the record that begins here; none if its header is not here yet.
fn record_bytes(incoming: &[u8]) -> Result<Option<usize>, RecordError> {
    let [kind, _, _, high, low, ..] = *incoming else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if kind != Content::Data as u8 || length > CONTENT_MAX_BYTES + EXPANSION_MAX_BYTES {
        return Err(RecordError::Unexpected);
    }
    Ok(Some(HEADER_BYTES + length))
}

fn alert(content: &[u8]) -> Result<Taken, RecordError> {
    match *content {
        [_, 0] => Ok(Taken::Closed),
        [_, description] => Err(RecordError::Alert(description)),
        _ => Err(RecordError::Unexpected),
    }
}

impl Direction {
    fn key(&self) -> Result<(LessSafeKey, &Iv), RecordError> {
        let (algorithm, key, iv) = match &self.secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(RecordError::Encrypt),
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| RecordError::Encrypt)?;
        Ok((LessSafeKey::new(key), iv))
    }

    /// The nonce of the next record, which no other gets.
    fn nonce(&mut self) -> Result<(LessSafeKey, RingNonce), RecordError> {
        let next = self.sequence.checked_add(1).ok_or(RecordError::Encrypt)?;
        let (key, iv) = self.key()?;
        let nonce = RingNonce::assume_unique_for_key(Nonce::new(iv, self.sequence).0);
        self.sequence = next;
        Ok((key, nonce))
    }

    fn seal(&mut self, content: Content, data: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
        let (key, nonce) = self.nonce()?;
        let header = make_tls13_aad(data.len() + 1 + TAG_BYTES);
        out.extend_from_slice(&header);
        let begin = out.len();
        out.extend_from_slice(data);
        out.push(content as u8);
        let tag: Tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(header), &mut out[begin..])
            .map_err(|_| RecordError::Encrypt)?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// What a record carries, and of which kind that is.
    fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<(u8, &'a [u8]), RecordError> {
        let (key, nonce) = self.nonce()?;
        let (header, body) = record.split_first_chunk_mut::<HEADER_BYTES>().ok_or(RecordError::Decrypt)?;
        let plain = key.open_in_place(nonce, Aad::from(&header[..]), body).map_err(|_| RecordError::Decrypt)?;
        // Behind the content lie its kind and any number of zeros.
        let end = plain.iter().rposition(|byte| *byte != 0).ok_or(RecordError::Unexpected)?;
        if end > CONTENT_MAX_BYTES {
            return Err(RecordError::Unexpected);
        }
        Ok((plain[end], &plain[..end]))
    }
}
