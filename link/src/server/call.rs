//! One stream on the region's end: read a call, run its handler, send the reply.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::Gauge;
use quinn::{RecvStream, SendStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Shared, kib};
use crate::events::{FrameRejected, HandlerFailed, ReplyRejected};
use crate::figures::ServerMetrics;
use crate::frame::encode_head;
use crate::header::{CallHeader, Kind, ReplyHeader, Status};
use crate::stream::{FrameReceiver, ReceiveError, send_frame};
use crate::transport::CloseCode;

pub(super) async fn serve_stream<H, F>(
    shared: Arc<Shared<H>>,
    connection_slots: Arc<Semaphore>,
    peer: Arc<str>,
    send: SendStream,
    receive: RecvStream,
) where
    H: Fn(CallHeader, Bytes) -> F + Send + Sync + 'static,
    F: Future<Output = Bytes> + Send + 'static,
{
    let mut exchange = Exchange { started: Instant::now(), peer, send, receiver: FrameReceiver::new(receive) };
    let frame_timeout = shared.options.frame_timeout();
    let read = timeout(frame_timeout, exchange.receiver.header::<CallHeader>(shared.options.max_request_bytes));
    let (header, payload_bytes) = match read.await {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => return exchange.reject(&error),
        Err(_) => return exchange.give_up(CloseCode::TooSlow, "the header took too long"),
    };
    let mut reply = ReplyHeader { version: header.version, status: Status::Ok };
    let permits = match admit(&shared, &connection_slots, &header, payload_bytes) {
        Ok(permits) => permits,
        Err(status) => {
            // What is refused is not read. The caller learns of it by the reply.
            exchange.receiver.stop(CloseCode::Done);
            reply.status = status;
            if matches!(status, Status::VersionUnsupported) {
                reply.version = shared.options.max_version;
            }
            return exchange.answer(&shared, reply, Bytes::new()).await;
        }
    };
    let Some(permits) = permits else {
        return exchange.answer(&shared, reply, Bytes::new()).await;
    };

    let deadline = exchange.started + Duration::from_millis(u64::from(header.deadline_ms));
    let read_by = deadline.min(Instant::now() + frame_timeout);
    let payload = match timeout_at(read_by, exchange.receiver.payload(payload_bytes)).await {
        Ok(Ok(payload)) => payload,
        Ok(Err(error)) => return exchange.reject(&error),
        Err(_) if read_by < deadline => return exchange.give_up(CloseCode::TooSlow, "the payload took too long"),
        Err(_) => {
            exchange.receiver.stop(CloseCode::Done);
            reply.status = Status::DeadlineExceeded;
            return exchange.answer(&shared, reply, Bytes::new()).await;
        }
    };
    let (status, payload) = run(&shared, header, payload, permits, deadline).await;
    reply.status = status;
    exchange.answer(&shared, reply, payload).await;
}

/// Decides by the header alone whether a call is taken; there is nothing to run for a ping.
fn admit<H>(
    shared: &Shared<H>,
    connection_slots: &Arc<Semaphore>,
    header: &CallHeader,
    payload_bytes: usize,
) -> Result<Option<Permits>, Status> {
    let options = &shared.options;
    let draining = shared.draining.is_cancelled();
    match header.kind {
        Kind::Ping if draining => return Err(Status::Draining),
        // Small, rare and answered even when all is busy: a busy region is alive.
        Kind::Ping => return Ok(None),
        _ if !(options.min_version..=options.max_version).contains(&header.version) => {
            return Err(Status::VersionUnsupported);
        }
        Kind::Stream | Kind::Unknown(_) => return Err(Status::KindUnsupported),
        Kind::Call if draining => return Err(Status::Draining),
        Kind::Call if header.deadline_ms == 0 => return Err(Status::DeadlineExceeded),
        Kind::Call => {}
    }
    let slots = [connection_slots, &shared.slots].map(|slots| slots.clone().try_acquire_owned());
    let memory = shared.memory_kib.clone().try_acquire_many_owned(kib(payload_bytes));
    match (slots, memory) {
        ([Ok(connection), Ok(server)], Ok(memory)) => {
            Ok(Some(Permits::new(&shared.metrics, [connection, server, memory])))
        }
        _ => Err(Status::Busy),
    }
}

/// Runs the handler in a task of its own and waits for it until the deadline.
async fn run<H, F>(
    shared: &Arc<Shared<H>>,
    header: CallHeader,
    payload: Bytes,
    permits: Permits,
    deadline: Instant,
) -> (Status, Bytes)
where
    H: Fn(CallHeader, Bytes) -> F + Send + Sync + 'static,
    F: Future<Output = Bytes> + Send + 'static,
{
    let handler = shared.clone();
    let task = shared.calls.spawn(async move {
        let answer = (handler.handler)(header, payload).await;
        drop(permits);
        answer
    });
    match timeout_at(deadline, task).await {
        Ok(Ok(answer)) => (Status::Ok, answer),
        Ok(Err(error)) => {
            // Not the panic's message: it may hold what users wrote.
            let error = if error.is_panic() { "it panicked" } else { "it was cancelled" };
            HandlerFailed { error }.emit();
            (Status::Internal, Bytes::new())
        }
        Err(_) => (Status::DeadlineExceeded, Bytes::new()),
    }
}

/// The two halves of a stream and what is known of it.
struct Exchange {
    started: Instant,
    peer: Arc<str>,
    send: SendStream,
    receiver: FrameReceiver,
}

impl Exchange {
    async fn answer<H>(mut self, shared: &Shared<H>, mut reply: ReplyHeader, mut payload: Bytes) {
        let max_reply_bytes = shared.options.max_reply_bytes;
        let head = encode_head(&reply, payload.len(), max_reply_bytes).or_else(|error| {
            ReplyRejected { reason: &error.to_string() }.emit();
            reply.status = Status::Internal;
            payload = Bytes::new();
            encode_head(&reply, 0, max_reply_bytes)
        });
        let Ok(head) = head else {
            return self.give_up(CloseCode::Malformed, "the reply does not encode");
        };
        match timeout(shared.options.frame_timeout(), send_frame(&mut self.send, head, payload)).await {
            Ok(Ok(())) => {}
            // The caller has gone, or no longer wants the reply.
            Ok(Err(_)) => return,
            Err(_) => return self.give_up(CloseCode::TooSlow, "the reply was not read in time"),
        }
        shared.metrics.answered(reply.status, self.started.elapsed());
        // Closing a connection throws away what was not acknowledged, so a draining server waits for this.
        let _ = self.send.stopped().await;
    }

    fn reject(self, error: &ReceiveError) {
        match error {
            // The caller gave up, or its connection is gone: nothing is wrong with what it sent.
            ReceiveError::Read(_) | ReceiveError::Ended => {}
            ReceiveError::Frame(_) => self.give_up(error.close_code(), &error.to_string()),
        }
    }

    fn give_up(mut self, code: CloseCode, reason: &str) {
        FrameRejected { peer: &self.peer, reason }.emit();
        self.receiver.stop(code);
        // The only error is that the stream is over, which is what is wanted.
        let _ = self.send.reset(code.var_int());
    }
}

/// What a call holds while it is in flight.
struct Permits {
    _held: [OwnedSemaphorePermit; 3],
    in_flight: Gauge,
}

impl Permits {
    fn new(metrics: &ServerMetrics, held: [OwnedSemaphorePermit; 3]) -> Self {
        metrics.in_flight.increment(1);
        Self { _held: held, in_flight: metrics.in_flight.clone() }
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        self.in_flight.decrement(1);
    }
}
