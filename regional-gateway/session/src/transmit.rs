//! A message to send, in up to three pieces, so that what many sessions get is copied for none.

use bytes::{BufMut, Bytes, BytesMut};
use std::fmt;
use std::ops::Deref;

/// The longest head: an event of 29 letters with a number of 20 digits in the longest encoding, and what compression
/// puts before it.
pub(crate) const HEAD_MAX_BYTES: usize = 95;

/// A WebSocket message to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Transmit {
    head: Head,
    data: Bytes,
    tail: &'static [u8],
    /// Whether it goes as a binary message and not as text.
    pub is_binary: bool,
}

impl Transmit {
    /// A message in one piece.
    pub const fn whole(data: Bytes, is_binary: bool) -> Self {
        Self { head: Head::new(), data, tail: b"", is_binary }
    }
    /// Shared data between what is this connection's own and what is everybody's.
    pub(crate) const fn around(head: Head, data: Bytes, tail: &'static [u8], is_binary: bool) -> Self {
        Self { head, data, tail, is_binary }
    }

    /// The pieces in order; some may be empty.
    pub fn slices(&self) -> [&[u8]; 3] {
        [&self.head, &self.data, self.tail]
    }
    /// Bytes of all pieces.
    pub const fn len(&self) -> usize {
        self.head.len as usize + self.data.len() + self.tail.len()
    }
    /// Whether there are no bytes; there always are some in what a session gives.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The pieces by themselves: the first is this message's own, the second may be shared with others, the third is
    /// the same for all.
    pub fn into_parts(self) -> (Head, Bytes, &'static [u8]) {
        (self.head, self.data, self.tail)
    }
    /// The message in one piece, which copies it if it is not.
    pub fn into_bytes(self) -> Bytes {
        if self.head.is_empty() && self.tail.is_empty() {
            return self.data;
        }
        let mut whole = BytesMut::with_capacity(self.len());
        self.slices().into_iter().for_each(|piece| whole.put_slice(piece));
        whole.freeze()
    }
}

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transmit").field("bytes", &self.len()).field("is_binary", &self.is_binary).finish()
    }
}

/// The first piece of a message, kept in place: it costs no allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head {
    len: u8,
    bytes: [u8; HEAD_MAX_BYTES],
}

/// A piece does not fit into a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadFull;

impl Head {
    pub(crate) const fn new() -> Self {
        Self { len: 0, bytes: [0; HEAD_MAX_BYTES] }
    }
    /// Appends a piece whole or not at all.
    pub(crate) fn put(&mut self, piece: &[u8]) -> Result<(), HeadFull> {
        let end = usize::from(self.len) + piece.len();
        self.bytes.get_mut(usize::from(self.len)..end).ok_or(HeadFull)?.copy_from_slice(piece);
        self.len = end as u8;
        Ok(())
    }
}

impl Deref for Head {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Head").field(&self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_takes_pieces_until_it_is_full() {
        let mut head = Head::new();
        head.put(b"ab").expect("room");
        assert_eq!(head.put(&[0; HEAD_MAX_BYTES - 1]), Err(HeadFull));
        assert_eq!(&*head, b"ab");
        head.put(&[b'c'; HEAD_MAX_BYTES - 2]).expect("just enough room");
        assert_eq!(head.put(b"d"), Err(HeadFull));
        assert_eq!(head.len(), HEAD_MAX_BYTES);
    }

    #[test]
    fn one_piece_is_not_copied_and_three_are_joined() {
        let data = Bytes::from_static(b"data");
        let whole = Transmit::whole(data.clone(), false);
        assert_eq!(whole.into_bytes().as_ptr(), data.as_ptr());
        let mut head = Head::new();
        head.put(b"head ").expect("room");
        let transmit = Transmit::around(head, data, b" tail", true);
        assert_eq!(transmit.len(), 14);
        assert_eq!(transmit.into_bytes(), "head data tail");
    }
}
