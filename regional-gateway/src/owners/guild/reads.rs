//! Reads the rows that a command needs and the core does not hold.

use rand::Rng as _;
use rookery_core_db::UniqueKey;
use rookery_guild::{Given, Need};
use rookery_model::relationship::RelationshipType;
use rookery_model::{ApiError, ErrorCode};

use crate::errors::from_store;
use crate::owners::{OwnerKey, Shared};

/// Characters of an invite code: easy to tell apart when read aloud.
const CODE_ALPHABET: &[u8] = b"ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789";
const CODE_CHARS: usize = 8;
/// Codes tried before giving up; two in a row that are taken is already unlikely.
const CODE_ATTEMPTS: usize = 5;

/// Adds what `needs` name.
pub async fn read(shared: &Shared, key: OwnerKey, needs: Vec<Need>, given: &mut Given) -> Result<(), ApiError> {
    let store = &shared.store;
    for need in needs {
        match need {
            Need::Message(channel_id, id) => {
                let row = store.message(channel_id, id).await.map_err(from_store)?;
                given.messages.insert((channel_id, id), row);
            }
            Need::ReactionCounts(channel_id, id) => {
                let rows = store.reaction_counts(channel_id, &[id]).await.map_err(from_store)?;
                given.reaction_counts.insert((channel_id, id), rows);
            }
            Need::OwnReactions(channel_id, id, user_id) => {
                let own = store.own_reactions(channel_id, &[id], user_id).await.map_err(from_store)?;
                given.own_reactions.insert((channel_id, id, user_id), own.into_iter().map(|own| own.emoji).collect());
            }
            Need::Pins(channel_id) => {
                let pins = store.pins(channel_id, None, usize::MAX).await.map_err(from_store)?;
                given.pins.insert(channel_id, pins.into_iter().map(|pin| (pin.message_id, pin.pinned_at)).collect());
            }
            Need::User(id) => {
                let account = shared.accounts.get(id).await?;
                given.users.insert(id, account.map(|account| account.user.clone()));
            }
            Need::Blocked(id) => {
                let rows = store.relationships(id).await.map_err(from_store)?;
                let blocked = rows.into_iter().filter(|row| row.kind == RelationshipType::Blocked);
                given.blocked.insert(id, blocked.map(|row| row.other_id).collect());
            }
            Need::InviteCode => given.invite_code = Some(claim_invite_code(shared, key).await?),
        }
    }
    Ok(())
}

async fn claim_invite_code(shared: &Shared, key: OwnerKey) -> Result<String, ApiError> {
    for _ in 0..CODE_ATTEMPTS {
        let code = random_code();
        let claim = shared.store.claim(UniqueKey::InviteCode(code.clone()), key.raw()).await.map_err(from_store)?;
        if claim.is_ok() {
            return Ok(code);
        }
    }
    Err(ErrorCode::Internal.into())
}

fn random_code() -> String {
    let mut rng = rand::rng();
    (0..CODE_CHARS).map(|_| char::from(CODE_ALPHABET[rng.random_range(0..CODE_ALPHABET.len())])).collect()
}
