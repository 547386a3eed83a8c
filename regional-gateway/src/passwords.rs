//! Password hashing with Argon2id, bounded in memory and time.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use rookery_model::{ApiError, ErrorCode};
use tokio::sync::Semaphore;

/// Memory of one hash, KiB; with two passes and one lane the second recommendation of OWASP's cheat sheet.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// Hashes that may wait; beyond it callers are told to come back.
const MAX_WAITING: usize = 64;

/// Hashes and verifies passwords, a few at a time on the blocking pool.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    /// One permit a core: each hash holds [`MEMORY_KIB`].
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// A hash of nobody's password, so that an unknown account takes as long as a wrong password.
    decoy: Arc<str>,
}

impl Passwords {
    /// Prepares the hasher; `parallel` hashes run at once.
    pub fn new(parallel: usize) -> anyhow::Result<Self> {
        let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|e| anyhow::anyhow!("argon2 parameters: {e}"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash(&argon2, "a password that nobody has").map_err(|e| anyhow::anyhow!("argon2: {e}"))?;
        Ok(Self {
            argon2,
            running: Arc::new(Semaphore::new(parallel.max(1))),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            decoy: decoy.into(),
        })
    }

    /// The PHC string of a password under a new salt.
    pub async fn hash(&self, password: String) -> Result<String, ApiError> {
        let argon2 = self.argon2.clone();
        self.run(move || hash(&argon2, &password)).await?.map_err(|error| {
            tracing::error!(%error, "password hashing failed");
            ErrorCode::Internal.into()
        })
    }

    /// Whether the password fits the stored hash; without a hash it takes as long and says no.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, ApiError> {
        let argon2 = self.argon2.clone();
        let decoy = self.decoy.clone();
        self.run(move || {
            let known = stored.is_some();
            let text = stored.as_deref().unwrap_or(&decoy);
            let fits = PasswordHash::new(text)
                .is_ok_and(|parsed| argon2.verify_password(password.as_bytes(), &parsed).is_ok());
            known && fits
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let _place = self.waiting.clone().try_acquire_owned().map_err(|_| ApiError::from(ErrorCode::Unavailable))?;
        let _core = self.running.clone().acquire_owned().await.map_err(|_| ApiError::from(ErrorCode::Unavailable))?;
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!(%error, "password task ended early");
            ErrorCode::Internal.into()
        })
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, argon2::password_hash::Error> {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>())?;
    Ok(argon2.hash_password(password.as_bytes(), &salt)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::new(2).unwrap();
        let stored = passwords.hash("correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(passwords.verify("correct horse".into(), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify("wrong horse".into(), Some(stored)).await.unwrap());
        assert!(!passwords.verify("a password that nobody has".into(), None).await.unwrap());
        assert!(!passwords.verify("x".into(), Some("not a hash".into())).await.unwrap());
    }
}
