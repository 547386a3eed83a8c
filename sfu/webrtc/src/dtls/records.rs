//! What a datagram of DTLS says of itself without keys (RFC 6347, section 4.1).

const RECORD_HEADER_BYTES: usize = 13;
const HANDSHAKE_HEADER_BYTES: usize = 12;
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// More than any message of a handshake: a certificate of a browser takes some hundreds.
const MESSAGE_BYTES_MAX: usize = 16 * 1_024;

/// What a datagram costs the one who takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// Pieces of messages of the handshake, each of which is kept until its message is whole.
    pub(super) fragments: u32,
}

/// Looks at each record. None if the datagram should not reach the handshake: it is malformed, or it says in the clear what
/// nobody has to say in the clear, so that somebody who forges an address could end a handshake with it.
pub(super) fn inspect(datagram: &[u8]) -> Option<Cost> {
    let mut fragments = 0;
    let mut rest = datagram;
    while !rest.is_empty() {
        let header: &[u8; RECORD_HEADER_BYTES] = rest.first_chunk()?;
        let epoch = u16::from_be_bytes([header[3], header[4]]);
        let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let (record, next) = rest[RECORD_HEADER_BYTES..].split_at_checked(len)?;
        // DTLS 1.0 is what a first ClientHello may call itself.
        if header[1] != 0xfe || !matches!(header[2], 0xfd | 0xff) || epoch > 1 || record.is_empty() {
            return None;
        }
        fragments += match (header[0], epoch) {
            (HANDSHAKE, 0) => handshake_fragments(record)?,
            (CHANGE_CIPHER_SPEC, 0) if record == [1] => 0,
            (HANDSHAKE, 1) => 1,
            (ALERT | APPLICATION_DATA, 1) => 0,
            _ => return None,
        };
        rest = next;
    }
    Some(Cost { fragments })
}

/// Whether the server says in it what it says once it has seen its cookie.
pub(super) fn begins_with_server_hello(datagram: &[u8]) -> bool {
    const SERVER_HELLO: u8 = 2;
    datagram.first() == Some(&HANDSHAKE) && datagram.get(RECORD_HEADER_BYTES) == Some(&SERVER_HELLO)
}

fn handshake_fragments(mut record: &[u8]) -> Option<u32> {
    let mut fragments = 0;
    while !record.is_empty() {
        let header: &[u8; HANDSHAKE_HEADER_BYTES] = record.first_chunk()?;
        let [_, length @ ..] = *header;
        let whole = read_u24([length[0], length[1], length[2]]);
        let offset = read_u24([length[5], length[6], length[7]]);
        let len = read_u24([length[8], length[9], length[10]]);
        if whole > MESSAGE_BYTES_MAX || offset + len > whole || (len == 0 && whole > 0) {
            return None;
        }
        record = record.get(HANDSHAKE_HEADER_BYTES + len..)?;
        fragments += 1;
    }
    Some(fragments)
}

fn read_u24([high, middle, low]: [u8; 3]) -> usize {
    u32::from_be_bytes([0, high, middle, low]) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1];
        record.extend((body.len() as u16).to_be_bytes());
        record.extend(body);
        record
    }
    fn fragment(whole: u8, offset: u8, len: u8) -> Vec<u8> {
        let mut fragment = vec![1, 0, 0, whole, 0, 0, 0, 0, offset, 0, 0, len];
        fragment.resize(12 + usize::from(len), 0);
        fragment
    }

    #[test]
    fn pieces_are_counted() {
        let two = [fragment(60, 0, 30), fragment(60, 30, 30)].concat();
        let datagram = [record(22, 0, &two), record(20, 0, &[1]), record(22, 1, &[0; 40])].concat();
        assert_eq!(inspect(&datagram), Some(Cost { fragments: 3 }));
        assert_eq!(inspect(&record(21, 1, &[0; 26])), Some(Cost { fragments: 0 }));
        assert_eq!(inspect(&record(22, 0, &fragment(0, 0, 0))), Some(Cost { fragments: 1 }));
    }

    #[test]
    fn what_does_not_fit_or_is_in_the_clear_is_refused() {
        for (kind, epoch, body) in [
            (21, 0, &[2, 40][..]),
            (23, 0, b"clear"),
            (24, 0, b"clear"),
            (22, 2, &[0; 40]),
            (20, 0, &[2]),
            (22, 0, &fragment(60, 40, 30)),
            (22, 0, &fragment(60, 0, 0)),
            (22, 0, &fragment(60, 0, 30)[..41]),
            (22, 0, &[]),
        ] {
            assert_eq!(inspect(&record(kind, epoch, body)), None, "{kind} {epoch} {body:?}");
        }
        let whole = record(22, 0, &fragment(60, 0, 30));
        for len in 1..whole.len() {
            assert_eq!(inspect(&whole[..len]), None, "{len}");
        }
        let mut version = whole;
        version[1] = 3;
        assert_eq!(inspect(&version), None);
    }
}
