//! A connection before it belongs to a session: HELLO, then IDENTIFY or RESUME.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use rookery_model::gateway::Identify;
use rookery_session::{Action, Connection, Frame};

use super::identify::{self, Outcome};
use super::identify_line::{Place, TurnedAway};
use super::socket::{Closing, Received, Socket};
use crate::Region;
use crate::config::ms;

/// Drives a connection in a task of its own.
pub fn spawn(region: Arc<Region>, connection: Box<Connection>, socket: Socket) {
    let tasks = region.tasks.clone();
    // Boxed, so that the type of this future does not hold itself: a resumed session hands connections back to here.
    let driven: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(drive(region, connection, socket));
    tasks.spawn(driven);
}

async fn drive(region: Arc<Region>, mut connection: Box<Connection>, mut socket: Socket) {
    let close_within = ms(region.config.gateway.close_timeout_ms);
    let mut queued: Option<Queued> = None;
    loop {
        let next = tokio::select! {
            biased;
            () = region.closing.cancelled() => Next::Over(Closing::GoingAway),
            (request, turn) = turn(&mut queued) => Next::Turn(request, turn),
            // Heartbeats are answered while the client waits, and one that leaves is gone from the line.
            next = next(&region, &mut connection, &mut socket) => next,
        };
        let outcome = match next {
            Next::Over(closing) => return socket.close(closing, close_within).await,
            Next::Action(Action::Identify(request)) => {
                let line = Arc::clone(&region.identify_line);
                queued = Some(Queued { request, turn: Box::pin(async move { line.enter().await }) });
                continue;
            }
            Next::Turn(request, Ok(place)) => identify::identify(&region, *connection, socket, &request, place).await,
            Next::Turn(_, Err(TurnedAway)) => {
                connection.invalid_session(region.clock.now_ms(), false);
                continue;
            }
            Next::Action(Action::Resume(request)) => identify::resume(&region, *connection, socket, &request).await,
            Next::Action(Action::Close(code)) => return socket.close(Closing::Code(code), close_within).await,
            // A connection alone asks for nothing else.
            Next::Action(_) => continue,
        };
        match outcome {
            Outcome::HandedOver => return,
            Outcome::Again(again, its_socket) => (connection, socket) = (again, its_socket),
        }
    }
}

/// An IDENTIFY that waits for its turn.
struct Queued {
    request: Box<Identify>,
    turn: Pin<Box<dyn Future<Output = Result<Place, TurnedAway>> + Send>>,
}

/// Waits until it is the turn of the IDENTIFY that is queued, for ever if there is none; losing it in a `select!` loses
/// nothing.
async fn turn(queued: &mut Option<Queued>) -> (Box<Identify>, Result<Place, TurnedAway>) {
    loop {
        let Some(waiting) = queued else { return std::future::pending().await };
        let turn = waiting.turn.as_mut().await;
        if let Some(Queued { request, .. }) = queued.take() {
            return (request, turn);
        }
    }
}

enum Next {
    Action(Action),
    Turn(Box<Identify>, Result<Place, TurnedAway>),
    Over(Closing),
}

/// Moves frames both ways until the connection wants something done.
async fn next(region: &Region, connection: &mut Connection, socket: &mut Socket) -> Next {
    loop {
        let due_ms = connection.poll_timeout().unwrap_or(u64::MAX);
        let mut timer = pin!(tokio::time::sleep_until(region.clock.instant(due_ms)));
        let moved = std::future::poll_fn(|cx| step(region, connection, socket, timer.as_mut(), cx)).await;
        if let Some(next) = moved {
            return next;
        }
    }
}

fn step(
    region: &Region,
    connection: &mut Connection,
    socket: &mut Socket,
    timer: Pin<&mut tokio::time::Sleep>,
    cx: &mut Context<'_>,
) -> Poll<Option<Next>> {
    let now_ms = region.clock.now_ms();
    let mut heard = false;
    if !connection.is_closed()
        && let Poll::Ready(received) = socket.poll_receive(cx)
    {
        heard = true;
        match received {
            Received::Text(text) => connection.handle_frame(now_ms, Frame::Text(&text)),
            Received::Binary(bytes) => connection.handle_frame(now_ms, Frame::Binary(&bytes)),
            Received::Broken(code) => connection.close(code),
            Received::Closed(None) => return Poll::Ready(Some(Next::Over(Closing::Abandon))),
            Received::Closed(code) => return Poll::Ready(Some(Next::Over(Closing::Answer(code)))),
        }
    }
    if timer.poll(cx).is_ready() {
        heard = true;
        connection.handle_timeout(now_ms);
    }
    // What a connection that is to be closed still owes is little, and goes out before the close frame.
    while socket.has_room() || connection.is_closed() {
        let Some(transmit) = connection.poll_transmit() else { break };
        socket.queue(transmit);
    }
    if let Poll::Ready(Err(_)) = socket.poll_flush(cx) {
        return Poll::Ready(Some(Next::Over(Closing::Abandon)));
    }
    if let Some(action) = connection.poll_action() {
        return Poll::Ready(Some(Next::Action(action)));
    }
    if heard { Poll::Ready(None) } else { Poll::Pending }
}
