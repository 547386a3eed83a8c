//! Messages to write to the socket.

/// A WebSocket message for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    Text(String),
    Binary(Vec<u8>),
}

impl Transmit {
    /// The text of a text message.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
    /// Bytes of the message.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}
