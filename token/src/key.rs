//! The keys that sign tokens and those that check them.

use std::collections::BTreeMap;
use std::fmt;

use ed25519_dalek::{Signer as _, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::claims::{Claims, append_signature};

/// The name of a key pair inside a deployment; keys are replaced while tokens of the previous one still live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub u16);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key that issues tokens; only regions hold one.
#[derive(Clone)]
pub struct SigningKey {
    id: KeyId,
    key: ed25519_dalek::SigningKey,
}

/// Names the key, never shows it.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Octets of the stored form: the id, then the secret.
    pub const BYTES: usize = 34;

    /// Makes a key of 32 octets from a cryptographic random source.
    pub fn generate(id: KeyId, random: &[u8; 32]) -> Self {
        Self { id, key: ed25519_dalek::SigningKey::from_bytes(random) }
    }

    /// Reads the stored form; `None` if its length is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let [k0, k1, secret @ ..] = bytes;
        Some(Self::generate(KeyId(u16::from_be_bytes([*k0, *k1])), secret))
    }

    /// The stored form. It is a secret.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..2].copy_from_slice(&self.id.0.to_be_bytes());
        bytes[2..].copy_from_slice(self.key.as_bytes());
        bytes
    }

    /// The key's name.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Issues a token. A key signs in its own name only: `claims.key_id` is replaced by it.
    pub fn sign(&self, claims: Claims) -> String {
        let text = Claims { key_id: self.id, ..claims }.signed_text();
        let signature = self.key.sign(text.as_bytes());
        append_signature(text, &signature)
    }

    /// A set with this key's public half alone.
    pub fn public_keys(&self) -> PublicKeys {
        let mut keys = PublicKeys::default();
        keys.insert(self);
        keys
    }
}

/// The public halves of a deployment's keys; a map from key id to 32 octets on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "BTreeMap<KeyId, ByteBuf>", try_from = "BTreeMap<KeyId, ByteBuf>")]
pub struct PublicKeys(BTreeMap<KeyId, VerifyingKey>);

impl PublicKeys {
    /// Adds the public half of a key.
    pub fn insert(&mut self, key: &SigningKey) {
        self.0.insert(key.id, key.key.verifying_key());
    }

    /// Takes a key out: its tokens are void from now on.
    pub fn remove(&mut self, id: KeyId) {
        self.0.remove(&id);
    }

    /// The key of this name.
    pub fn get(&self, id: KeyId) -> Option<&VerifyingKey> {
        self.0.get(&id)
    }

    /// The 32 octets of the key of this name.
    pub fn key_bytes(&self, id: KeyId) -> Option<&[u8; 32]> {
        self.0.get(&id).map(VerifyingKey::as_bytes)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, so that no token is valid.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<PublicKeys> for BTreeMap<KeyId, ByteBuf> {
    fn from(keys: PublicKeys) -> Self {
        keys.0.into_iter().map(|(id, key)| (id, ByteBuf::from(key.to_bytes()))).collect()
    }
}

/// A public key was not 32 octets that encode a point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("public key {0} is not an Ed25519 key")]
pub struct BadPublicKey(KeyId);

impl TryFrom<BTreeMap<KeyId, ByteBuf>> for PublicKeys {
    type Error = BadPublicKey;
    fn try_from(raw: BTreeMap<KeyId, ByteBuf>) -> Result<Self, BadPublicKey> {
        raw.into_iter()
            .map(|(id, bytes)| {
                let bytes = bytes.as_slice().try_into().map_err(|_| BadPublicKey(id))?;
                Ok((id, VerifyingKey::from_bytes(bytes).map_err(|_| BadPublicKey(id))?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
