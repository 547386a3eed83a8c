//! Tokens whose signature was found right before, so that a client pays for it once.
//!
//! The answer depends on token and key alone, and both are compared: this remembers, it never decides.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};

use rookery_token::{PublicKeys, claims_unverified, verify};

/// Places in the table; two tokens that share one push each other out.
const SLOTS: usize = 512;

struct Verified {
    token: Box<str>,
    key: [u8; 32],
}

thread_local! {
    static TABLE: RefCell<Vec<Option<Verified>>> = const { RefCell::new(Vec::new()) };
}

/// Whether one of the keys signed the token.
pub fn is_valid(token: &str, keys: &PublicKeys) -> bool {
    let Ok(claims) = claims_unverified(token) else { return false };
    let Some(key) = keys.key_bytes(claims.key_id) else { return false };
    let slot = slot(token);
    let is_known = TABLE.with_borrow(|table| {
        table.get(slot).and_then(Option::as_ref).is_some_and(|known| known.key == *key && *known.token == *token)
    });
    if is_known {
        return true;
    }
    if verify(token, keys).is_err() {
        return false;
    }
    TABLE.with_borrow_mut(|table| {
        table.resize_with(SLOTS, || None);
        table[slot] = Some(Verified { token: token.into(), key: *key });
    });
    true
}

fn slot(token: &str) -> usize {
    // Fixed keys do: only tokens with a valid signature get in.
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    (hasher.finish() % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_model::{DeviceId, UserId};
    use rookery_token::{Claims, KeyId, SigningKey};

    fn key(seed: u8) -> SigningKey {
        SigningKey::generate(KeyId(1), &[seed; 32])
    }

    fn token(key: &SigningKey, user: u64) -> String {
        key.sign(Claims {
            user_id: UserId::new(user),
            key_id: KeyId(1),
            issued_at: 0,
            epoch: 0,
            device: DeviceId::new(1),
        })
    }

    #[test]
    fn what_was_valid_under_one_key_is_not_under_another() {
        let (old, new) = (key(1), key(2));
        let token = token(&old, 7);
        for _ in 0..2 {
            assert!(is_valid(&token, &old.public_keys()));
            assert!(!is_valid(&token, &new.public_keys()));
            assert!(!is_valid(&token, &PublicKeys::default()));
        }
    }

    #[test]
    fn more_tokens_than_places() {
        let key = key(1);
        let keys = key.public_keys();
        let tokens: Vec<String> = (0..SLOTS as u64 + 100).map(|user| token(&key, user)).collect();
        for _ in 0..2 {
            assert!(tokens.iter().all(|token| is_valid(token, &keys)));
        }
        let mut forged = tokens[0].clone();
        forged.replace_range(0..1, "N");
        assert!(!is_valid(&forged, &keys));
        assert!(TABLE.with_borrow(Vec::len) == SLOTS);
    }
}
