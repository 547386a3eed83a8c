//! CALL_CONNECT (opcode 13): a client asks for the call that goes on in a DM; the answer, if there is one, is CALL_CREATE.

use serde::Deserialize;

use crate::ChannelId;

/// The data of CALL_CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct CallConnect {
    pub channel_id: ChannelId,
}
