//! Calls for owners of other regions.

use std::sync::Arc;

use bytes::Bytes;
use rookery_link::{CallError, CallHeader};
use rookery_model::call::{Call, CallReply, CallRequest, Credential, Home, Reply};
use rookery_model::{ApiError, ErrorCode};

use super::Peer;
use crate::Region;
use crate::calls::Context;
use crate::errors::from_store;

/// The region that carries out a call, unless it is this one.
pub async fn elsewhere(region: &Region, request: &CallRequest) -> Result<Option<Arc<Peer>>, ApiError> {
    let raw = match request.call.home() {
        Home::Anywhere => return Ok(None),
        Home::Guild(id) => id.get(),
        Home::Channel(id) => id.get(),
        Home::User(id) => id.get(),
        Home::Caller => match &request.credential {
            Credential::Token { token, .. } => region.accounts.signed_for(token)?.get(),
            Credential::None | Credential::Operator { .. } => return Ok(None),
        },
        Home::Invite(_) if region.peers.is_alone() => return Ok(None),
        Home::Invite(code) => match region.store.invite(code).await.map_err(from_store)? {
            Some(invite) => invite.guild_id.get(),
            None => return Ok(None),
        },
    };
    Ok(region.peers.elsewhere(raw).cloned())
}

/// Sends a call on as it came, and gives back the answer as it comes.
pub async fn send_on(peer: &Peer, header: CallHeader, payload: Bytes) -> Bytes {
    match call(peer, header, payload).await {
        Ok(reply) => reply,
        Err(error) => encoded(Err(error)),
    }
}

async fn call(peer: &Peer, header: CallHeader, payload: Bytes) -> Result<Bytes, ApiError> {
    let header = CallHeader { is_forwarded: true, ..header };
    let result = peer.calls.call(header, payload).await;
    let outcome = if result.is_ok() { "answered" } else { "failed" };
    metrics::counter!("rookery_peer_calls_total", "peer" => peer.name.to_string(), "result" => outcome).increment(1);
    result.map_err(|error| {
        tracing::warn!(%error, peer = &*peer.name, "a call could not be sent on");
        match error {
            CallError::Internal | CallError::Protocol { .. } => ErrorCode::Internal.into(),
            // The same operation may be tried again: it happens once.
            _ => ErrorCode::Unavailable.into(),
        }
    })
}

/// A reply without more, as it is sent.
pub fn encoded(result: Result<Reply, ApiError>) -> Bytes {
    crate::operations::encode_reply(&CallReply { rate_limit: None, moved: None, result }).into()
}

impl Context<'_> {
    /// Asks another region something on behalf of the caller, as part of a call that is carried out here.
    pub async fn ask(&self, peer: &Peer, call: Call) -> Result<Reply, ApiError> {
        let request = CallRequest { credential: self.credential.clone(), reason: None, call };
        let mut payload = Vec::with_capacity(256);
        ciborium::into_writer(&request, &mut payload).map_err(|_| ApiError::from(ErrorCode::Internal))?;
        let header = CallHeader {
            client_ip: self.origin.client_ip,
            ..CallHeader::new(self.origin.operation_id, self.origin.deadline_ms)
        };
        let reply = self::call(peer, header, payload.into()).await?;
        let reply: CallReply =
            ciborium::from_reader(reply.as_ref()).map_err(|_| ApiError::from(ErrorCode::Internal))?;
        reply.result
    }
}
