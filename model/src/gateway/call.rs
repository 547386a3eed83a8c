//! CALL_CREATE, CALL_UPDATE and CALL_DELETE: calls in DMs and group DMs.

use serde::{Deserialize, Serialize};

use super::{Event, VoiceState};
use crate::message::MessageCall;
use crate::{ChannelId, MessageId, UserId};

/// CALL_CREATE: a call began, or goes on since before the session asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCreate {
    #[serde(flatten)]
    pub call: CallUpdate,
    /// Of those who are in it.
    pub voice_states: Vec<VoiceState>,
}

/// CALL_UPDATE: who is rung, and where the call is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallUpdate {
    pub channel_id: ChannelId,
    /// The message that tells of the call.
    pub message_id: MessageId,
    /// The voice region.
    pub region: String,
    /// Who is rung, by id.
    pub ringing: Vec<UserId>,
}

/// CALL_DELETE: a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDelete {
    pub channel_id: ChannelId,
}

/// An event for the one session of a user that is in a call, as VOICE_SERVER_UPDATE and those of streams are: it goes the way of
/// the user's other events, so that it comes behind the voice state that libraries wait for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallSessionEvent {
    /// The name of the session, which no client is told.
    pub session_name: u128,
    pub event: Event,
}

/// MESSAGE_UPDATE of what changes in the message of a call; everything else of it stays as it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallMessageUpdate {
    pub id: MessageId,
    pub channel_id: ChannelId,
    pub call: MessageCall,
}
