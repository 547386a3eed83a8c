//! One connection: its requests are served, and it is closed once it only costs.
//!
//! Three kinds of client hold a connection without using it: one that never finishes a request's head, one that is done
//! and stays, one that does not read its answers. hyper knows of the first on HTTP/1.1 only and, while it still finds
//! out which version is spoken, not at all; so the connection is watched from outside.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{ConnectionLimits, ms};
use crate::events;
use crate::service::Service;

/// How long a connection that was asked to end may take for it.
const CLOSING_TIME: Duration = Duration::from_secs(5);
/// How often an HTTP/2 connection is asked whether its peer still lives.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);

/// The HTTP settings and waiting times of every connection.
pub(crate) struct ConnectionSettings {
    http: auto::Builder<TokioExecutor>,
    header_read_timeout: Duration,
    idle_timeout: Duration,
    stalled_response_timeout: Duration,
}

impl ConnectionSettings {
    pub fn new(limits: &ConnectionLimits) -> Self {
        let header_read_timeout = ms(limits.header_read_timeout_ms);
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(header_read_timeout)
            .max_buf_size(limits.max_head_bytes);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(HTTP2_PING_INTERVAL)
            .keep_alive_timeout(HTTP2_PING_INTERVAL)
            .max_header_list_size(u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(limits.max_http2_streams);
        Self {
            http,
            header_read_timeout,
            idle_timeout: ms(limits.idle_timeout_ms),
            stalled_response_timeout: ms(limits.stalled_response_timeout_ms),
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve<I>(
    io: I,
    activity: Arc<Activity>,
    peer: IpAddr,
    service: Arc<Service>,
    settings: &ConnectionSettings,
    drain: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handling = Arc::clone(&activity);
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        let guard = handling.begin();
        async move {
            let response = service.answer(peer, request).await;
            drop(guard);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(settings.http.serve_connection(TokioIo::new(io), answer));
    let mut timer = pin!(tokio::time::sleep_until(activity.next_check(settings)));
    let mut closing = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    events::connection_failed(&error);
                }
                return;
            }
            () = drain.cancelled(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
                // Whoever drains sets its own end to waiting; this one is for requests under way.
                timer.as_mut().reset(Instant::now() + settings.idle_timeout);
            }
            () = timer.as_mut() => {
                match activity.verdict(settings) {
                    Verdict::Wait(until) if !closing => timer.as_mut().reset(until),
                    Verdict::Idle if !closing => {
                        closing = true;
                        connection.as_mut().graceful_shutdown();
                        timer.as_mut().reset(Instant::now() + CLOSING_TIME);
                    }
                    Verdict::Wait(until) if activity.is_handling() => timer.as_mut().reset(until),
                    Verdict::Wait(_) | Verdict::Idle | Verdict::Stalled => {
                        events::connection_failed(&"the client neither asks nor reads");
                        return;
                    }
                }
            }
        }
    }
}

/// What happens on a connection, seen from outside of hyper.
pub(crate) struct Activity {
    opened: Instant,
    /// Requests between their head and their response.
    handling: AtomicU32,
    /// Requests so far.
    requests: AtomicU32,
    /// When something last moved, in ms since it was opened.
    moved_ms: AtomicU64,
    /// Since when a write waits for the peer to read, in ms since it was opened; [`NOT_BLOCKED`] if none does.
    blocked_ms: AtomicU64,
}

const NOT_BLOCKED: u64 = u64::MAX;

enum Verdict {
    Wait(Instant),
    Idle,
    Stalled,
}

impl Activity {
    pub fn new() -> Self {
        Self {
            opened: Instant::now(),
            handling: AtomicU32::new(0),
            requests: AtomicU32::new(0),
            moved_ms: AtomicU64::new(0),
            blocked_ms: AtomicU64::new(NOT_BLOCKED),
        }
    }

    fn begin(self: &Arc<Self>) -> Handling {
        self.handling.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        Handling(Arc::clone(self))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(NOT_BLOCKED - 1)
    }

    fn moved(&self) {
        self.moved_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    fn is_handling(&self) -> bool {
        self.handling.load(Ordering::Relaxed) > 0
    }

    fn next_check(&self, settings: &ConnectionSettings) -> Instant {
        let ConnectionSettings { header_read_timeout, idle_timeout, stalled_response_timeout, .. } = settings;
        Instant::now() + *header_read_timeout.min(idle_timeout).min(stalled_response_timeout)
    }

    fn verdict(&self, settings: &ConnectionSettings) -> Verdict {
        let now = Instant::now();
        let blocked_ms = self.blocked_ms.load(Ordering::Relaxed);
        if blocked_ms != NOT_BLOCKED {
            let until = self.opened + ms(blocked_ms) + settings.stalled_response_timeout;
            return if until <= now { Verdict::Stalled } else { Verdict::Wait(until) };
        }
        if self.is_handling() {
            return Verdict::Wait(self.next_check(settings));
        }
        let allowed = match self.requests.load(Ordering::Relaxed) {
            0 => settings.header_read_timeout,
            _ => settings.idle_timeout,
        };
        let until = self.opened + ms(self.moved_ms.load(Ordering::Relaxed)) + allowed;
        if until <= now {
            return Verdict::Idle;
        }
        // A write may get stuck meanwhile, which has to be seen in its own time.
        Verdict::Wait(until.min(self.next_check(settings)))
    }
}

/// One request being handled, until dropped.
struct Handling(Arc<Activity>);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.moved();
        self.0.handling.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that notes since when its peer has not read.
pub(crate) struct WatchedIo<I> {
    io: I,
    activity: Arc<Activity>,
}

impl<I> WatchedIo<I> {
    pub fn new(io: I, activity: Arc<Activity>) -> Self {
        Self { io, activity }
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        let blocked = &self.activity.blocked_ms;
        let was_blocked = blocked.load(Ordering::Relaxed) != NOT_BLOCKED;
        match &written {
            Poll::Pending if !was_blocked => blocked.store(self.activity.now_ms(), Ordering::Relaxed),
            Poll::Ready(_) if was_blocked => {
                self.activity.moved();
                blocked.store(NOT_BLOCKED, Ordering::Relaxed);
            }
            _ => {}
        }
        written
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for WatchedIo<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for WatchedIo<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
