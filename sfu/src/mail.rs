//! What reaches a session's task.

use rookery_model::UserId;
use rookery_model::voice::VoiceCloseCode;
use rookery_model::voice::node::VoiceLeaveReason;
use rookery_voice_session::{Connection, Payload};
use std::sync::Arc;

use crate::gateway::Socket;

/// Something for a session.
pub(crate) enum Mail {
    /// Its room tells something; in order.
    Events(Arc<[Notice]>),
    /// A connection whose client was found to be this session's.
    Resume(Box<Resume>),
    /// It is to end, for this reason.
    Close { code: VoiceCloseCode, reason: VoiceLeaveReason },
}

/// A connection that takes a session up again; boxed in mail, because mostly there is none.
pub(crate) struct Resume {
    pub(crate) connection: Box<Connection>,
    pub(crate) socket: Socket,
    pub(crate) seq_ack: Option<u16>,
}

/// A message for everybody in a room.
pub(crate) struct Notice {
    pub(crate) payload: Arc<Payload>,
    /// Who knows it already.
    pub(crate) except: Option<UserId>,
}
