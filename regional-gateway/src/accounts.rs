//! Accounts: who a token belongs to, signing up and in, and changes to one's own account.

use std::sync::Arc;

use moka::sync::Cache;
use rookery_core_db::Store;
use rookery_model::call::{Login, ModifyCurrentUser, Register};
use rookery_model::store::{UniqueKey, Write};
use rookery_model::user::{Account, User};
use rookery_model::{ApiError, DeviceId, ErrorCode, FieldError, UserId};
use rookery_token::{Claims, PublicKeys, SigningKey};

use crate::errors::from_store;
use crate::passwords::Passwords;

/// Accounts kept in memory.
const CACHED_ACCOUNTS: u64 = 200_000;
/// Tokens whose signature is remembered; about 250 bytes each.
const CACHED_SIGNATURES: u64 = 50_000;
/// A claim whose account never came is free again after this; the account follows its claims within milliseconds.
const ORPHANED_CLAIM_MS: u64 = 60_000;
/// Locks over all accounts; two accounts may share one.
const CHANGE_LOCKS: usize = 256;
/// Signed-out devices remembered before the epoch is raised instead, which signs out all.
const MAX_REVOKED_DEVICES: usize = 64;

/// Who asks, as far as a valid token tells.
#[derive(Clone, Debug)]
pub struct Identity {
    pub account: Arc<Account>,
    pub device: DeviceId,
    pub epoch: u32,
}

impl Identity {
    /// The caller's id.
    pub fn user_id(&self) -> UserId {
        self.account.user.id
    }
    /// Whether it is a bot.
    pub fn is_bot(&self) -> bool {
        self.account.user.bot
    }
}

/// The accounts of the deployment as this region sees them.
pub struct Accounts {
    store: Store,
    cache: Cache<UserId, Arc<Account>>,
    /// Tokens whose signature was found right: it depends on nothing but the text, and is a sixth of a message's CPU.
    verified: Cache<Box<str>, Claims>,
    signing_key: SigningKey,
    public_keys: PublicKeys,
    passwords: Passwords,
    /// A change reads, decides and writes: one at a time for an account.
    changing: Vec<tokio::sync::Mutex<()>>,
    /// Held while an orphaned claim is taken over.
    taking_over: tokio::sync::Mutex<()>,
}

impl Accounts {
    /// Builds the view on a store with the keys of the deployment.
    pub fn new(store: Store, signing_key: SigningKey, public_keys: PublicKeys, passwords: Passwords) -> Self {
        let changing = (0..CHANGE_LOCKS).map(|_| tokio::sync::Mutex::new(())).collect();
        Self {
            store,
            cache: Cache::new(CACHED_ACCOUNTS),
            verified: Cache::new(CACHED_SIGNATURES),
            signing_key,
            public_keys,
            passwords,
            changing,
            taking_over: tokio::sync::Mutex::new(()),
        }
    }

    /// The keys with which anybody may check tokens.
    pub fn public_keys(&self) -> &PublicKeys {
        &self.public_keys
    }

    /// Verifies a token whole: signature, account, epoch, device, and that bots come as bots.
    ///
    /// `bot` says how the token came: with the `Bot ` prefix or without; none if the place does not tell (IDENTIFY).
    pub async fn authenticate(&self, token: &str, bot: Option<bool>) -> Result<Identity, ApiError> {
        let claims = self.verified(token)?;
        let account = self.get(claims.user_id).await?.ok_or(ErrorCode::Unauthorized)?;
        let void = claims.epoch != account.token_epoch || account.revoked_devices.contains(&claims.device);
        if void || bot.is_some_and(|bot| bot != account.user.bot) {
            return Err(ErrorCode::Unauthorized.into());
        }
        Ok(Identity { account, device: claims.device, epoch: claims.epoch })
    }

    /// Whose token it is by its signature alone; whether it still holds, [`Self::authenticate`] says.
    pub fn signed_for(&self, token: &str) -> Result<UserId, ApiError> {
        self.verified(token).map(|claims| claims.user_id)
    }

    /// Checks form and signature of a token, and neither account nor epoch.
    fn verified(&self, token: &str) -> Result<Claims, ApiError> {
        if let Some(claims) = self.verified.get(token) {
            return Ok(claims);
        }
        let claims =
            rookery_token::verify(token, &self.public_keys).map_err(|_| ApiError::from(ErrorCode::Unauthorized))?;
        // Only what the deployment signed gets in, so a stranger cannot push anybody's token out.
        self.verified.insert(token.into(), claims);
        Ok(claims)
    }

    /// An account by id.
    pub async fn get(&self, id: UserId) -> Result<Option<Arc<Account>>, ApiError> {
        if let Some(account) = self.cache.get(&id) {
            return Ok(Some(account));
        }
        let Some(account) = self.store.account(id).await.map_err(from_store)? else { return Ok(None) };
        let account = Arc::new(account);
        // A write that came in between put a newer one there: keep that.
        Ok(Some(self.cache.get_with(id, || account)))
    }

    /// Users in the order asked for; those that do not exist are left out.
    pub async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, ApiError> {
        let mut users = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(account) = self.get(*id).await? {
                users.push(account.user.clone());
            }
        }
        Ok(users)
    }

    /// Issues a token for a device of an account.
    pub fn issue(&self, account: &Account, device: DeviceId, unix_ms: u64) -> String {
        self.signing_key.sign(Claims {
            user_id: account.user.id,
            key_id: self.signing_key.id(),
            issued_at: Claims::issue_time(unix_ms),
            epoch: account.token_epoch,
            device,
        })
    }

    /// Writes an account and what belongs to the same change, and makes it what this region sees.
    pub async fn put(&self, account: Account, mut with: Vec<Write>) -> Result<Arc<Account>, ApiError> {
        with.push(Write::PutAccount(account.clone()));
        let id = account.user.id;
        match self.store.write(with).await {
            Ok(()) => {
                let account = Arc::new(account);
                self.cache.insert(id, account.clone());
                Ok(account)
            }
            Err(error) => {
                // Whether it applied is the store's to say at the next read.
                self.cache.invalidate(&id);
                Err(from_store(error))
            }
        }
    }

    /// Makes a new account; the names must be free.
    ///
    /// `with` makes the writes that belong to the same change.
    pub async fn register(
        &self,
        id: UserId,
        request: Register,
        with: impl FnOnce(&Account) -> Vec<Write>,
    ) -> Result<Arc<Account>, ApiError> {
        let password_hash = self.passwords.hash(request.password).await?;
        let email = UniqueKey::Email(request.email.to_lowercase());
        let username = UniqueKey::Username(request.username.to_lowercase());
        let mut errors = Vec::new();
        let email_is_ours = self.claim(&email, id).await?;
        if !email_is_ours {
            errors.push(email_taken());
        }
        let username_is_ours = self.claim(&username, id).await?;
        if !username_is_ours {
            errors.push(username_taken());
        }
        if !errors.is_empty() {
            let ours = [(email, email_is_ours), (username, username_is_ours)];
            self.release(ours.into_iter().filter(|(_, ours)| *ours).map(|(key, _)| key)).await;
            return Err(ApiError::invalid_form(errors));
        }
        let user = User { global_name: request.global_name, ..User::new(id, request.username.to_lowercase()) };
        let account = Account { email: Some(request.email), password_hash: Some(password_hash), ..Account::new(user) };
        let with = with(&account);
        self.put(account, with).await
    }

    /// Signs in by e-mail address or username.
    pub async fn login(&self, request: Login) -> Result<Arc<Account>, ApiError> {
        let found = if request.login.contains('@') {
            self.store.account_by_email(&request.login).await
        } else {
            self.store.account_by_username(&request.login).await
        }
        .map_err(from_store)?;
        let stored = found.as_ref().and_then(|account| account.password_hash.clone());
        let fits = self.passwords.verify(request.password, stored).await?;
        match found {
            Some(account) if fits => Ok(Arc::new(account)),
            _ => {
                let wrong = || ("INVALID_LOGIN", "Login or password is invalid.");
                Err(ApiError::invalid_form(vec![
                    FieldError::new(["login"], wrong().0, wrong().1),
                    FieldError::new(["password"], wrong().0, wrong().1),
                ]))
            }
        }
    }

    /// Ends one device's tokens; true if all devices had to be signed out.
    pub async fn sign_out(&self, identity: &Identity) -> Result<bool, ApiError> {
        let _alone = self.lock(identity.user_id()).await;
        let mut account = self.fresh(identity.user_id()).await?;
        let all = account.revoked_devices.len() >= MAX_REVOKED_DEVICES;
        if all {
            account.revoked_devices.clear();
            account.token_epoch += 1;
        } else {
            account.revoked_devices.push(identity.device);
        }
        self.put(account, Vec::new()).await?;
        Ok(all)
    }

    /// Ends all tokens of an account and returns it with its new epoch.
    pub async fn revoke_all(
        &self,
        id: UserId,
        with: impl FnOnce(&Account) -> Vec<Write>,
    ) -> Result<Arc<Account>, ApiError> {
        let _alone = self.lock(id).await;
        let mut account = self.fresh(id).await?;
        account.token_epoch += 1;
        account.revoked_devices.clear();
        let with = with(&account);
        self.put(account, with).await
    }

    /// Changes one's own account; says whether its tokens ended with it.
    pub async fn modify(
        &self,
        identity: &Identity,
        changes: ModifyCurrentUser,
    ) -> Result<(Arc<Account>, TokensEnded), ApiError> {
        let _alone = self.lock(identity.user_id()).await;
        let mut account = self.fresh(identity.user_id()).await?;
        let bot = account.user.bot;
        let renamed = changes.username.filter(|name| *name != account.user.username);
        let new_email = changes.email.filter(|email| Some(email) != account.email.as_ref());
        if !bot && (renamed.is_some() || new_email.is_some() || changes.new_password.is_some()) {
            self.check_password(&account, changes.password).await?;
        }
        if bot && (new_email.is_some() || changes.new_password.is_some()) {
            return Err(ErrorCode::BotsCannotUse.into());
        }
        let tokens = if let Some(password) = changes.new_password {
            account.password_hash = Some(self.passwords.hash(password).await?);
            account.token_epoch += 1;
            account.revoked_devices.clear();
            TokensEnded::All
        } else {
            TokensEnded::None
        };
        changes.global_name.apply(&mut account.user.global_name);
        changes.accent_color.apply(&mut account.user.accent_color);
        if let Some(bio) = changes.bio {
            account.bio = bio;
        }
        let (mut claimed, mut left) = (Vec::new(), Vec::new());
        if let Some(name) = renamed {
            if bot {
                account.user.username = name;
            } else {
                self.rename(&mut account, name, &mut claimed, &mut left).await?;
            }
        }
        if let Some(email) = new_email {
            let key = UniqueKey::Email(email.to_lowercase());
            if !self.claim(&key, account.user.id).await? {
                self.release(claimed).await;
                return Err(ApiError::invalid_form(vec![email_taken()]));
            }
            if let Some(old) = account.email.replace(email) {
                left.push(UniqueKey::Email(old.to_lowercase()));
            }
            account.verified = false;
            claimed.push(key);
        }
        // A change of case only keeps its key.
        left.retain(|key| !claimed.contains(key));
        let account = self.put(account, left.into_iter().map(Write::DeleteUnique).collect()).await?;
        Ok((account, tokens))
    }

    async fn lock(&self, id: UserId) -> tokio::sync::MutexGuard<'_, ()> {
        // Ids made in one millisecond by one worker differ in the low bits.
        self.changing[(id.get() ^ (id.get() >> 22)) as usize % CHANGE_LOCKS].lock().await
    }

    async fn fresh(&self, id: UserId) -> Result<Account, ApiError> {
        Ok(Account::clone(&*self.get(id).await?.ok_or(ErrorCode::UnknownUser)?))
    }

    async fn rename(
        &self,
        account: &mut Account,
        name: String,
        claimed: &mut Vec<UniqueKey>,
        left: &mut Vec<UniqueKey>,
    ) -> Result<(), ApiError> {
        let key = UniqueKey::Username(name.to_lowercase());
        if !self.claim(&key, account.user.id).await? {
            return Err(ApiError::invalid_form(vec![username_taken()]));
        }
        left.push(UniqueKey::Username(account.user.username.to_lowercase()));
        claimed.push(key);
        account.user.username = name;
        Ok(())
    }

    async fn check_password(&self, account: &Account, password: Option<String>) -> Result<(), ApiError> {
        let Some(password) = password else {
            return Err(ApiError::invalid_field(["password"], "BASE_TYPE_REQUIRED", "This field is required"));
        };
        if self.passwords.verify(password, account.password_hash.clone()).await? {
            return Ok(());
        }
        Err(ApiError::invalid_field(["password"], "PASSWORD_DOES_NOT_MATCH", "Password does not match."))
    }

    /// Whether the key is now this user's. A claim that a crash left without its account is taken over.
    async fn claim(&self, key: &UniqueKey, id: UserId) -> Result<bool, ApiError> {
        let Err(holder) = self.store.claim(key.clone(), id.get()).await.map_err(from_store)? else { return Ok(true) };
        let holder = UserId::new(holder);
        let age_ms = id.0.unix_ms().saturating_sub(holder.0.unix_ms());
        if age_ms < ORPHANED_CLAIM_MS || self.get(holder).await?.is_some() {
            return Ok(false);
        }
        // The store cannot delete a claim only if it is still the orphaned one, so nobody else may take over meanwhile:
        // they would delete what the first of them has just claimed. One lock is enough as long as the accounts of the
        // deployment are written by one process, as they are; take-overs are rare, so all keys share it.
        let _alone = self.taking_over.lock().await;
        match self.store.claim(key.clone(), id.get()).await.map_err(from_store)? {
            Ok(()) => return Ok(true),
            Err(now) if now != holder.get() => return Ok(false),
            Err(_) => {}
        }
        self.store.write(vec![Write::DeleteUnique(key.clone())]).await.map_err(from_store)?;
        Ok(self.store.claim(key.clone(), id.get()).await.map_err(from_store)?.is_ok())
    }

    async fn release(&self, keys: impl IntoIterator<Item = UniqueKey>) {
        let batch: Vec<_> = keys.into_iter().map(Write::DeleteUnique).collect();
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.store.write(batch).await {
            tracing::warn!(%error, "claims of a refused registration stay until they are taken over");
        }
    }
}

/// What a change of an account did to its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokensEnded {
    None,
    All,
}

fn email_taken() -> FieldError {
    FieldError::new(["email"], "EMAIL_ALREADY_REGISTERED", "Email is already registered.")
}

fn username_taken() -> FieldError {
    FieldError::new(
        ["username"],
        "USERNAME_ALREADY_TAKEN",
        "Username is unavailable. Try adding numbers, letters, underscores _ or periods.",
    )
}

#[cfg(test)]
mod tests {
    use rookery_core_db::EmbeddedConfig;
    use rookery_token::KeyId;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn an_orphaned_claim_is_taken_over_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_embedded(EmbeddedConfig::new(folder.path())).unwrap();
        let signing_key = SigningKey::generate(KeyId(1), &[7; 32]);
        let public_keys = signing_key.public_keys();
        let accounts = Accounts::new(store.clone(), signing_key, public_keys, Passwords::new(1).unwrap());
        let accounts = Arc::new(accounts);
        let now = 10 * ORPHANED_CLAIM_MS;
        for round in 0..40 {
            let key = UniqueKey::Username(format!("name{round}"));
            store.claim(key.clone(), UserId::new(1 << 22).get()).await.unwrap().unwrap();
            let claims = (0..8).map(|n| {
                let (accounts, key) = (Arc::clone(&accounts), key.clone());
                tokio::spawn(async move { accounts.claim(&key, UserId::new((now + n) << 22)).await.unwrap() })
            });
            let won = futures_util::future::join_all(claims).await.into_iter().filter(|won| *won.as_ref().unwrap());
            assert_eq!(won.count(), 1, "round {round}");
            // A fresh claim is no orphan.
            assert!(!accounts.claim(&key, UserId::new((now + 9) << 22)).await.unwrap());
        }
    }
}
