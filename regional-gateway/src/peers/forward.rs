//! Calls for owners that live at other nodes.

use std::time::Duration;

use bytes::Bytes;
use rookery_link::{CallError, CallHeader};
use rookery_model::call::{Call, CallReply, CallRequest, Credential, Home, Reply};
use rookery_model::{ApiError, ErrorCode};
use tokio::time::Instant;

use super::{Peer, Peers};
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
/// last. Reads do not wait for a lease, and a call that was sent on waits where it came from.
pub async fn carry_out<F: Future<Output = Bytes>>(
    peers: &Peers,
    subject: u64,
    is_read: bool,
    header: CallHeader,
    payload: Bytes,
    here: impl Fn() -> F,
) -> Bytes {
    let ownership = peers.ownership();
    let patience = if header.is_forwarded { PAUSE * 2 } else { PATIENCE };
    let time = Duration::from_millis(header.deadline_ms.into()).saturating_sub(MARGIN).min(patience);
    let until = Instant::now() + time;
    loop {
        let changed = ownership.changed();
        let before = ownership.locate(subject);
        let was_suspended = !is_read && ownership.is_suspended();
        let reply = match peers.elsewhere(subject) {
            // It would be refused, and counted.
            None if was_suspended => refusal(),
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
        let has_lease = is_read || !was_suspended && !ownership.is_suspended();
        let is_final = has_lease && before == Location::Here && ownership.locate(subject) == before;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rookery_model::lease::WORKER_IDS;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::placement::Ownership;

    const ID: u64 = 7 << 22;
    /// What comes at once comes by then, however slow the machine is; and what waits, waits for longer.
    const AT_ONCE: Duration = Duration::from_secs(5);
    const LONG_MS: u32 = 60_000;
    /// What waits is not done after so long.
    const A_WHILE: Duration = Duration::from_millis(300);

    /// A node that owns everything, with or without a lease; and how often an owner there was asked.
    struct World {
        peers: Arc<Peers>,
        asked: Arc<AtomicUsize>,
    }

    impl World {
        fn new() -> Self {
            let homes = vec![0; usize::from(WORKER_IDS)];
            let ownership = Ownership::shared(homes, ["eu".into()].into(), 4, &CancellationToken::new());
            let shard = ownership.shard_of(ID);
            ownership.begin(shard, 1, None);
            ownership.open(shard, 1);
            Self { peers: Arc::new(Peers::new(Vec::new(), Arc::new(ownership))), asked: Arc::default() }
        }

        fn renew(&self) {
            self.peers.ownership().acknowledges_until(u64::MAX);
            self.peers.ownership().tell_changed();
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }

        /// Carries out a call that its owner answers so.
        fn call(&self, is_read: bool, header: CallHeader, answer: &Bytes) -> impl Future<Output = Bytes> + 'static {
            let (peers, asked, answer) = (Arc::clone(&self.peers), Arc::clone(&self.asked), answer.clone());
            async move {
                let here = || {
                    asked.fetch_add(1, Ordering::SeqCst);
                    std::future::ready(answer.clone())
                };
                carry_out(&peers, ID, is_read, header, Bytes::new(), here).await
            }
        }
    }

    fn header(deadline_ms: u32) -> CallHeader {
        CallHeader::new([0; 16], deadline_ms)
    }

    fn done() -> Bytes {
        encoded(Ok(Reply::Acked))
    }

    #[tokio::test]
    async fn a_write_waits_for_the_lease_and_is_carried_out_once() {
        let world = World::new();
        let mut call = Box::pin(world.call(false, header(LONG_MS), &done()));
        assert!(tokio::time::timeout(A_WHILE, &mut call).await.is_err());
        assert_eq!(world.asked(), 0);
        world.renew();
        assert_eq!(call.await, done());
        assert_eq!(world.asked(), 1);
    }

    #[tokio::test]
    async fn a_write_is_refused_when_its_time_is_up_and_one_that_was_sent_on_soon() {
        let world = World::new();
        let begun = Instant::now();
        assert!(is_refusal(&world.call(false, header(1_000), &done()).await));
        assert!(begun.elapsed() >= A_WHILE);
        let begun = Instant::now();
        let sent_on = CallHeader { is_forwarded: true, ..header(LONG_MS) };
        assert!(is_refusal(&world.call(false, sent_on, &done()).await));
        assert!(begun.elapsed() < AT_ONCE);
        assert_eq!(world.asked(), 0);
    }

    #[tokio::test]
    async fn reads_do_not_wait_for_a_lease_whatever_they_are_answered() {
        let world = World::new();
        let begun = Instant::now();
        assert_eq!(world.call(true, header(LONG_MS), &done()).await, done());
        assert!(is_refusal(&world.call(true, header(LONG_MS), &refusal()).await));
        assert!(world.asked() == 2 && begun.elapsed() < AT_ONCE);
    }

    #[tokio::test]
    async fn an_owner_with_a_lease_has_the_last_word() {
        let world = World::new();
        world.renew();
        let begun = Instant::now();
        assert!(is_refusal(&world.call(false, header(LONG_MS), &refusal()).await));
        assert!(world.asked() == 1 && begun.elapsed() < AT_ONCE);
    }

    #[tokio::test]
    async fn what_the_owner_refuses_as_its_lease_runs_out_is_tried_again() {
        let world = World::new();
        world.renew();
        let here = || {
            let is_first = world.asked.fetch_add(1, Ordering::SeqCst) == 0;
            if is_first {
                world.peers.ownership().acknowledges_until(0);
            }
            std::future::ready(if is_first { refusal() } else { done() })
        };
        let mut call = Box::pin(carry_out(&world.peers, ID, false, header(LONG_MS), Bytes::new(), here));
        assert!(tokio::time::timeout(A_WHILE, &mut call).await.is_err());
        assert_eq!(world.asked(), 1);
        world.renew();
        assert_eq!(call.await, done());
        assert_eq!(world.asked(), 2);
    }
}
