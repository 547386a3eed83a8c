//! Pictures on their way to many. The packets of one batch that go to one client are written one after another, so that they
//! are a train for the kernel: a frame comes in one batch, mostly.

use rookery_forwarder::{Body, Forward, Slot};
use tokio::net::UdpSocket;

use super::{Core, FORWARDS};

/// What is to go once all datagrams of a batch are read; their payloads are kept.
#[derive(Default)]
pub(super) struct Gathered {
    forwards: Vec<Forward>,
    /// Room, receiver and place in the list.
    order: Vec<(u32, u32, u32)>,
    /// Those of one room, while they are written.
    ready: Vec<Forward>,
}

impl Gathered {
    pub(super) fn new() -> Self {
        let (forwards, ready) = (Vec::with_capacity(FORWARDS), Vec::with_capacity(FORWARDS));
        Self { forwards, order: Vec::with_capacity(FORWARDS), ready }
    }

    /// Takes a packet whose payload is kept; false if it is not for this, or too much is here.
    pub(super) fn take(&mut self, room: usize, slot: Slot, forwards: &[Forward]) -> bool {
        let is_whole = |forward: &Forward| forward.body == Body::Incoming;
        if self.forwards.len() + forwards.len() > FORWARDS || !forwards.iter().all(is_whole) {
            return false;
        }
        for forward in forwards {
            self.order.push((room as u32, forward.receiver.index() as u32, self.forwards.len() as u32));
            self.forwards.push(Forward { body: Body::Stored(slot), ..*forward });
        }
        true
    }
}

impl Core {
    /// Writes what was gathered, receiver by receiver, each one's in the order in which it came.
    pub(in crate::media) fn send_gathered(&mut self, now_us: u64, socket: &UdpSocket) {
        if self.gathered.order.is_empty() {
            return;
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.order.sort_unstable();
        std::mem::swap(&mut self.forwards, &mut gathered.ready);
        for of_room in gathered.order.chunk_by(|one, other| one.0 == other.0) {
            self.forwards.clear();
            self.forwards.extend(of_room.iter().map(|(.., at)| gathered.forwards[*at as usize]));
            self.deliver(now_us, socket, of_room[0].0 as usize, None);
        }
        std::mem::swap(&mut self.forwards, &mut gathered.ready);
        gathered.forwards.clear();
        gathered.order.clear();
        self.gathered = gathered;
    }
}
