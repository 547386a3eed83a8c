//! Calls for owners that live at other nodes.

use std::time::Duration;

use bytes::Bytes;
use rookery_link::{CallError, CallHeader};
use rookery_model::call::{Call, CallReply, CallRequest, Credential, Home, Reply};
use rookery_model::{ApiError, ErrorCode};
use tokio::time::Instant;

use super::Peer;
use crate::Region;
use crate::calls::Context;
use crate::errors::from_store;
use crate::placement::Location;

/// How long a call waits at most while what it is about changes hands.
const PATIENCE: Duration = Duration::from_secs(8);
/// Of its time a call keeps so much for the way back.
const MARGIN: Duration = Duration::from_millis(250);
/// Between two attempts where nobody says that anything changed.
const PAUSE: Duration = Duration::from_millis(200);
/// A refusal is no longer than this.
const REFUSAL_MAX_BYTES: usize = 256;

/// What a call is about, if one owner decides it.
pub async fn subject(region: &Region, request: &CallRequest) -> Result<Option<u64>, ApiError> {
    Ok(match request.call.home() {
        Home::Anywhere => None,
        Home::Guild(id) => Some(id.get()),
        Home::Channel(id) => Some(region.owners.owner_of_channel(id).await?),
        Home::User(id) => Some(id.get()),
        Home::Caller => match &request.credential {
            Credential::Token { token, .. } => Some(region.accounts.signed_for(token)?.get()),
            Credential::None | Credential::Operator { .. } => None,
        },
        Home::Invite(code) => region.store.invite(code).await.map_err(from_store)?.map(|invite| invite.guild_id.get()),
    })
}

/// Carries a call out where its owner lives: by `here`, or by sending it on as it came. While the owner changes hands, or
/// may not acknowledge because the node's lease is not renewed yet, it waits, as long as the call's time and [`PATIENCE`]
/// last. A call without a subject is carried out here. Reads do not wait for a lease.
pub async fn carry_out<F: Future<Output = Bytes>>(
    region: &Region,
    subject: Option<u64>,
    is_read: bool,
    header: CallHeader,
    payload: Bytes,
    here: impl Fn() -> F,
) -> Bytes {
    let ownership = region.peers.ownership();
    let time = Duration::from_millis(header.deadline_ms.into()).saturating_sub(MARGIN).min(PATIENCE);
    let until = Instant::now() + time;
    loop {
        let changed = ownership.changed();
        let location = || subject.map_or(Location::Here, |subject| ownership.locate(subject));
        let (before, was_suspended) = (location(), ownership.is_suspended());
        let reply = match subject.and_then(|subject| region.peers.elsewhere(subject)) {
            // It would be refused, and counted.
            None if was_suspended && !is_read => refusal(),
            None => here().await,
            Some(peer) if peer.is_nobody() => refusal(),
            Some(peer) if header.is_forwarded => {
                // The two nodes do not agree about it yet: neither may carry it out.
                tracing::debug!(peer = &*peer.name, "a call was sent on to a node where it does not belong");
                return refusal();
            }
            Some(peer) => {
                let left = until.saturating_duration_since(Instant::now()) + MARGIN;
                let deadline_ms = header.deadline_ms.min(u32::try_from(left.as_millis()).unwrap_or(u32::MAX));
                send_on(peer, CallHeader { deadline_ms, ..header.clone() }, payload.clone()).await
            }
        };
        // The same operation may be tried again: it happens once.
        let is_final = !was_suspended && !ownership.is_suspended() && before == Location::Here && location() == before;
        if is_final || !is_refusal(&reply) || Instant::now() + PAUSE >= until {
            return reply;
        }
        metrics::counter!("rookery_calls_waited_for_owner_total").increment(1);
        let _ = tokio::time::timeout(PAUSE, changed).await;
    }
}

fn refusal() -> Bytes {
    encoded(Err(ErrorCode::Unavailable.into()))
}

/// Whether a reply says that nothing was done, and that it may be tried again.
fn is_refusal(reply: &Bytes) -> bool {
    reply.len() <= REFUSAL_MAX_BYTES
        && ciborium::from_reader::<CallReply, _>(reply.as_ref())
            .is_ok_and(|reply| reply.result.is_err_and(|error| error.is(ErrorCode::Unavailable)))
}

/// Sends a call on as it came, and gives back the answer as it comes.
async fn send_on(peer: &Peer, header: CallHeader, payload: Bytes) -> Bytes {
    match call(peer, header, payload).await {
        Ok(reply) => reply,
        Err(error) => encoded(Err(error)),
    }
}

async fn call(peer: &Peer, header: CallHeader, payload: Bytes) -> Result<Bytes, ApiError> {
    let header = CallHeader { is_forwarded: true, ..header };
    let Some(calls) = peer.calls() else { return Err(ErrorCode::Unavailable.into()) };
    let result = calls.call(header, payload).await;
    let outcome = if result.is_ok() { "answered" } else { "failed" };
    metrics::counter!("rookery_peer_calls_total", "peer" => peer.name.to_string(), "result" => outcome).increment(1);
    result.map_err(|error| {
        match error {
            CallError::Internal | CallError::Protocol { .. } => {
                tracing::warn!(%error, peer = &*peer.name, "a call that was sent on failed there");
                ErrorCode::Internal.into()
            }
            // The same operation may be tried again: it happens once. That the peer is out of reach its link says once,
            // and the calls that meet it are counted.
            _ => {
                tracing::debug!(%error, peer = &*peer.name, "a call could not be sent on");
                ErrorCode::Unavailable.into()
            }
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
