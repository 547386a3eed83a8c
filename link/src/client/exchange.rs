//! One attempt of one call on one connection.

use bytes::Bytes;
use quinn::{Connection, ConnectionError, ReadError, WriteError};

use crate::frame::FrameError;
use crate::header::ReplyHeader;
use crate::stream::{FrameReceiver, ReceiveError, send_frame};

/// How an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The connection went away before anything was sent.
    #[error("{0}")]
    NotSent(#[source] ConnectionError),
    /// The connection went away before the reply; the call may have been executed.
    #[error("{0}")]
    Lost(#[source] ConnectionError),
    /// The region gave the stream up.
    #[error("the region gave the stream up with code {0}")]
    GivenUp(u64),
    /// The reply is not one.
    #[error("the reply cannot be read: {0}")]
    Reply(String),
    /// The call is over a limit of this end.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Sends a call and waits for its reply.
pub(crate) async fn exchange(
    connection: &Connection,
    head: Bytes,
    payload: Bytes,
    max_reply_bytes: usize,
) -> Result<(ReplyHeader, Bytes), ExchangeError> {
    let (mut send, receive) = connection.open_bi().await.map_err(ExchangeError::NotSent)?;
    match send_frame(&mut send, head, payload).await {
        // A region that refuses a call does not read it to its end; its reply says why.
        Ok(()) | Err(WriteError::Stopped(_)) => {}
        Err(WriteError::ConnectionLost(error)) => return Err(ExchangeError::Lost(error)),
        Err(error) => return Err(ExchangeError::Reply(error.to_string())),
    }
    let mut receiver = FrameReceiver::new(receive);
    let (header, payload_bytes) = receiver.header::<ReplyHeader>(max_reply_bytes).await.map_err(receive_error)?;
    let payload = receiver.payload(payload_bytes).await.map_err(receive_error)?;
    Ok((header, payload))
}

fn receive_error(error: ReceiveError) -> ExchangeError {
    match error {
        ReceiveError::Read(ReadError::ConnectionLost(error)) => ExchangeError::Lost(error),
        ReceiveError::Read(ReadError::Reset(code)) => ExchangeError::GivenUp(code.into_inner()),
        other => ExchangeError::Reply(other.to_string()),
    }
}
