//! An echo behind the gateway's own WebSocket shell.
//!
//! It opens the port, shakes hands, receives, writes and closes with the very code that does so for sessions; only what
//! is between receiving and writing is not a session.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use rookery_region::GatewayConfig;
use rookery_region::gateway::admission::{Admission, Admitted};
use rookery_region::gateway::listener;
use rookery_region::gateway::socket::{Closing, Received, Socket};
use rookery_region::gateway::websocket::{Batch, WebSocket};
use rookery_session::Transmit;
use tokio::net::TcpStream;

/// The longest message of the suite, far more than a session takes.
const MESSAGE_MAX_BYTES: usize = 16 << 20;
/// Messages that are taken before the first is sent back.
const WAITING_MAX: usize = 16;
/// How long a peer may take to answer a close frame.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Starts an echo on a free port.
pub async fn start() -> SocketAddr {
    start_on(GatewayConfig::default().listen).await
}

pub async fn start_on(listen: SocketAddr) -> SocketAddr {
    let config = GatewayConfig { listen, ..GatewayConfig::default() };
    let listener = listener::bind(&config).unwrap();
    let address = listener.local_addr().unwrap();
    let admission = Admission::new(&config);
    tokio::spawn(async move {
        loop {
            let (stream, from) = listener.accept().await.unwrap();
            if let Ok(place) = admission.admit(from.ip()) {
                tokio::spawn(serve(stream, place));
            }
        }
    });
    address
}

async fn serve(stream: TcpStream, mut place: Admitted) {
    let Ok((stream, _)) = listener::shake_hands(stream).await else { return };
    place.opened();
    let mut socket = Socket::new(WebSocket::new(stream, MESSAGE_MAX_BYTES), place);
    let mut waiting = VecDeque::new();
    let mut batch = Batch::default();
    let closing = poll_fn(|cx| poll_echo(&mut socket, &mut waiting, &mut batch, cx)).await;
    // As what a session still owes: before the close frame.
    waiting.drain(..).for_each(|transmit| socket.queue(transmit));
    socket.close(closing, CLOSE_WITHIN).await;
}

/// Sends back what comes, until it is known how the connection is to be closed.
fn poll_echo(
    socket: &mut Socket,
    waiting: &mut VecDeque<Transmit>,
    batch: &mut Batch,
    cx: &mut Context<'_>,
) -> Poll<Closing> {
    loop {
        let mut heard = false;
        while socket.has_room() && waiting.len() < WAITING_MAX {
            let Poll::Ready(received) = socket.poll_receive(cx) else { break };
            heard = true;
            match received {
                Received::Text(text) => waiting.push_back(Transmit::whole(text.into(), false)),
                Received::Binary(bytes) => waiting.push_back(Transmit::whole(bytes.into(), true)),
                Received::Broken(code) => return Poll::Ready(Closing::Code(code)),
                Received::Closed(None) => return Poll::Ready(Closing::Abandon),
                Received::Closed(code) => return Poll::Ready(Closing::Answer(code)),
            }
        }
        match socket.transmit(cx, batch, || waiting.pop_front()) {
            Ok(sent) if sent || heard => {}
            Ok(_) => return Poll::Pending,
            Err(_) => return Poll::Ready(Closing::Abandon),
        }
    }
}
