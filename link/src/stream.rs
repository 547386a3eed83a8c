//! Frames on QUIC streams.

use bytes::{Bytes, BytesMut};
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use serde::de::DeserializeOwned;

use crate::frame::{self, FrameError, PREFIX_BYTES, Prefix};
use crate::transport::CloseCode;

/// Why no frame came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the stream ended before the frame did")]
    Ended,
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl ReceiveError {
    /// What the stream is given up with.
    pub(crate) fn close_code(&self) -> CloseCode {
        match self {
            Self::Frame(FrameError::HeaderTooLarge { .. } | FrameError::PayloadTooLarge { .. }) => {
                CloseCode::FrameTooLarge
            }
            Self::Frame(_) | Self::Ended | Self::Read(_) => CloseCode::Malformed,
        }
    }
}

/// Reads the parts of one frame, copying only what does not arrive in one piece.
pub(crate) struct FrameReceiver {
    stream: RecvStream,
    pending: Bytes,
}

impl FrameReceiver {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self { stream, pending: Bytes::new() }
    }

    /// Reads lengths and header; a payload over `max_payload_bytes` is refused here, before it is read.
    pub(crate) async fn header<H: DeserializeOwned>(
        &mut self,
        max_payload_bytes: usize,
    ) -> Result<(H, usize), ReceiveError> {
        let mut octets = [0; PREFIX_BYTES];
        octets.copy_from_slice(&self.take(PREFIX_BYTES).await?);
        let prefix = Prefix::decode(octets)?;
        prefix.check_payload(max_payload_bytes)?;
        let header = self.take(prefix.header_bytes).await?;
        Ok((frame::decode_header(&header)?, prefix.payload_bytes))
    }

    /// Reads the payload whose length `header` said.
    pub(crate) async fn payload(&mut self, payload_bytes: usize) -> Result<Bytes, ReceiveError> {
        self.take(payload_bytes).await
    }

    /// Tells the peer that the rest of its frame is not wanted.
    pub(crate) fn stop(&mut self, code: CloseCode) {
        // The only error is that the stream is over, which is what is wanted.
        let _ = self.stream.stop(code.var_int());
    }

    /// Exactly `length` bytes; the caller has checked the length against its limit.
    async fn take(&mut self, length: usize) -> Result<Bytes, ReceiveError> {
        if self.pending.is_empty() && length > 0 {
            self.pending = self.chunk().await?;
        }
        if self.pending.len() >= length {
            return Ok(self.pending.split_to(length));
        }
        let mut whole = BytesMut::with_capacity(length);
        loop {
            let wanted = (length - whole.len()).min(self.pending.len());
            whole.extend_from_slice(&self.pending.split_to(wanted));
            if whole.len() == length {
                return Ok(whole.freeze());
            }
            self.pending = self.chunk().await?;
        }
    }

    async fn chunk(&mut self) -> Result<Bytes, ReceiveError> {
        match self.stream.read_chunk(usize::MAX, true).await? {
            Some(chunk) => Ok(chunk.bytes),
            None => Err(ReceiveError::Ended),
        }
    }
}

/// Writes one frame and ends the stream.
pub(crate) async fn send_frame(stream: &mut SendStream, head: Bytes, payload: Bytes) -> Result<(), WriteError> {
    stream.write_all_chunks(&mut [head, payload]).await?;
    // The only error is that the stream is over already, which cannot be after a successful write.
    let _ = stream.finish();
    Ok(())
}
