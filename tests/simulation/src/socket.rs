//! A socket between client and region: frames in both directions, a bound on what it takes, an end.

use std::collections::VecDeque;

use rookery_model::gateway::SubscriberId;
use rookery_session::{Connection, Transmit};

use crate::bus::{Job, SocketId};
use crate::env::Env;

/// What a client sends.
pub enum FromClient {
    Frame(Vec<u8>),
    /// A close frame, or the end of the connection.
    Closed(Option<u16>),
}

/// An open connection, or one whose last frames are not read yet.
pub struct Socket {
    pub id: SocketId,
    pub client: usize,
    pub to_client: VecDeque<Transmit>,
    pub to_server: VecDeque<FromClient>,
    queued_bytes: usize,
    /// While it belongs to no session.
    pub connection: Option<Box<Connection>>,
    pub session: Option<SubscriberId>,
    /// The region closed it, with this code if it said good-bye.
    pub closed: Option<Option<u16>>,
    /// The client is to read.
    is_read_due: bool,
}

impl Socket {
    /// A socket that was just opened.
    pub const fn new(id: SocketId, client: usize, connection: Box<Connection>) -> Self {
        Self {
            id,
            client,
            to_client: VecDeque::new(),
            to_server: VecDeque::new(),
            queued_bytes: 0,
            connection: Some(connection),
            session: None,
            closed: None,
            is_read_due: false,
        }
    }

    /// Whether it takes more.
    pub fn has_room(&self, env: &Env) -> bool {
        self.closed.is_none() && self.queued_bytes < env.sizes.socket_bytes
    }

    /// Takes a frame for the client.
    pub fn queue(&mut self, env: &mut Env, transmit: Transmit) {
        if self.closed.is_some() {
            return;
        }
        self.queued_bytes += transmit.len();
        self.to_client.push_back(transmit);
        if !std::mem::replace(&mut self.is_read_due, true) {
            env.bus.at(env.now_ms, Job::ClientReads(self.client, self.id));
        }
    }

    /// The client takes a frame.
    pub fn read(&mut self) -> Option<Transmit> {
        let transmit = self.to_client.pop_front()?;
        self.queued_bytes -= transmit.len();
        Some(transmit)
    }

    /// The client looked, and will look again when something comes; whether there is something already.
    pub fn looked(&mut self) -> bool {
        self.is_read_due = !self.to_client.is_empty();
        self.is_read_due
    }

    /// The region closes it; what is on its way may still arrive.
    pub fn close(&mut self, env: &mut Env, code: Option<u16>) {
        self.session = None;
        self.connection = None;
        if self.closed.is_none() {
            self.closed = Some(code);
            if !std::mem::replace(&mut self.is_read_due, true) {
                env.bus.at(env.now_ms, Job::ClientReads(self.client, self.id));
            }
        }
    }

    /// The network loses all but so many of the frames that are on their way.
    pub fn lose_frames(&mut self, keep: usize) {
        while self.to_client.len() > keep {
            if let Some(lost) = self.to_client.pop_back() {
                self.queued_bytes -= lost.len();
            }
        }
    }
}
