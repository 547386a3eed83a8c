//! Accounts: who a token belongs to, signing up and in, and changes to one's own account.

mod unique_keys;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;
use rookery_core_db::Store;
use rookery_model::call::{Login, ModifyCurrentUser, Register};
use rookery_model::store::{UniqueKey, Write};
use rookery_model::user::{Account, User};
use rookery_model::{ApiError, DeviceId, ErrorCode, FieldError, UserId, username};
use rookery_token::{Claims, PublicKeys, SigningKey};

use crate::errors::from_store;
use crate::passwords::Passwords;
use crate::peers::Peers;
use unique_keys::{KeyChanges, Orphans, email_taken, no_orphans, username_taken};

/// Accounts kept in memory.
const CACHED_ACCOUNTS: u64 = 200_000;
/// Tokens whose signature is remembered; about 250 bytes each.
const CACHED_SIGNATURES: u64 = 50_000;
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
    orphans: Orphans,
    /// Regions that are told of changes, and that tell of theirs.
    peers: Arc<Peers>,
    /// How often something may have changed elsewhere unheard.
    forgotten: AtomicU64,
}

impl Accounts {
    /// Builds the view on a store with the keys of the deployment.
    pub fn new(
        store: Store,
        signing_key: SigningKey,
        public_keys: PublicKeys,
        passwords: Passwords,
        peers: Arc<Peers>,
    ) -> Self {
        let changing = (0..CHANGE_LOCKS).map(|_| tokio::sync::Mutex::new(())).collect();
        Self {
            store,
            cache: Cache::new(CACHED_ACCOUNTS),
            verified: Cache::new(CACHED_SIGNATURES),
            signing_key,
            public_keys,
            passwords,
            changing,
            orphans: no_orphans(),
            peers,
            forgotten: AtomicU64::new(0),
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
        let account = self.current(claims.user_id).await?.ok_or(ErrorCode::Unauthorized)?;
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
        match self.cache.get(&id) {
            Some(account) => Ok(Some(account)),
            None => self.read(id).await,
        }
    }

    /// An account as it is now: while its home cannot tell of changes, it is read, for a token may have been revoked there.
    async fn current(&self, id: UserId) -> Result<Option<Arc<Account>>, ApiError> {
        if self.peers.keeps_up_with(id.get()) { self.get(id).await } else { self.read(id).await }
    }

    async fn read(&self, id: UserId) -> Result<Option<Arc<Account>>, ApiError> {
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let Some(account) = self.store.account(id).await.map_err(from_store)? else { return Ok(None) };
        let account = Arc::new(account);
        if forgotten != self.forgotten.load(Ordering::Acquire) || !self.peers.keeps_up_with(id.get()) {
            // It may be old by now.
            return Ok(Some(account));
        }
        // A write that came in between put a newer one there: keep that.
        Ok(Some(self.cache.get_with(id, || account)))
    }

    /// An account changed in another region.
    pub fn changed_elsewhere(&self, account: Account) {
        self.cache.insert(account.user.id, Arc::new(account));
    }

    /// Accounts of some other region may have changed unheard: they are read anew.
    pub fn forget(&self, lives_there: impl Fn(UserId) -> bool) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        for (id, _) in self.cache.iter().filter(|(id, _)| lives_there(**id)) {
            self.cache.invalidate(&*id);
        }
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
                self.peers.account_changed(&account);
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
        let _alone = self.lock(id).await;
        let now_ms = id.0.unix_ms();
        let email = UniqueKey::Email(request.email.to_lowercase());
        let username = UniqueKey::Username(request.username.to_lowercase());
        let mut errors = Vec::new();
        let email_is_ours = self.claim(&email, id, now_ms).await?;
        if !email_is_ours {
            errors.push(email_taken());
        }
        let username_is_ours = self.claim(&username, id, now_ms).await?;
        if !username_is_ours {
            errors.push(username_taken());
        }
        if !errors.is_empty() {
            let ours = [(email, email_is_ours), (username, username_is_ours)];
            self.release(id, ours.into_iter().filter(|(_, ours)| *ours).map(|(key, _)| key)).await;
            return Err(ApiError::invalid_form(errors));
        }
        let user = User { global_name: request.global_name, ..User::new(id, request.username.to_lowercase()) };
        let account = Account { email: Some(request.email), password_hash: Some(password_hash), ..Account::new(user) };
        let with = with(&account);
        self.put(account, with).await
    }

    /// Signs in by e-mail address or username.
    pub async fn login(&self, request: Login) -> Result<Arc<Account>, ApiError> {
        let key = if request.login.contains('@') {
            UniqueKey::Email(request.login.to_lowercase())
        } else {
            UniqueKey::Username(request.login.to_lowercase())
        };
        let found = self.bearer(&key).await?;
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
    ///
    /// `with` makes the writes that belong to the same change.
    pub async fn modify(
        &self,
        identity: &Identity,
        changes: ModifyCurrentUser,
        now_ms: u64,
        with: impl FnOnce(&Account, TokensEnded) -> Vec<Write>,
    ) -> Result<(Arc<Account>, TokensEnded), ApiError> {
        let _alone = self.lock(identity.user_id()).await;
        let mut account = self.fresh(identity.user_id()).await?;
        let renamed = new_name(&account, changes.username)?;
        let new_email = changes.email.filter(|email| Some(email) != account.email.as_ref());
        let signs_in_anew = new_email.is_some() || changes.new_password.is_some();
        if account.user.bot {
            if signs_in_anew {
                return Err(ErrorCode::BotsCannotUse.into());
            }
        } else if signs_in_anew || renamed.is_some() {
            self.check_password(&account, changes.password).await?;
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
        let KeyChanges { claimed, mut left } = self.change_keys(&mut account, renamed, new_email, now_ms).await?;
        // A change of case only keeps its key.
        left.retain(|key| !claimed.contains(key));
        let mut writes = with(&account, tokens);
        let owner = account.user.id.get();
        writes.extend(left.into_iter().map(|key| Write::DeleteUnique { key, owner }));
        let account = self.put(account, writes).await?;
        claimed.iter().for_each(|key| self.orphans.invalidate(key));
        Ok((account, tokens))
    }

    async fn lock(&self, id: UserId) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing[slot(id)].lock().await
    }

    async fn fresh(&self, id: UserId) -> Result<Account, ApiError> {
        Ok(Account::clone(&*self.get(id).await?.ok_or(ErrorCode::UnknownUser)?))
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
}

/// What a change of an account did to its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokensEnded {
    None,
    All,
}

/// Which of the locks is an account's.
const fn slot(id: UserId) -> usize {
    // Ids made in one millisecond by one worker differ in the low bits.
    (id.get() ^ (id.get() >> 22)) as usize % CHANGE_LOCKS
}

/// The name that an account is to get, if it is another: a person's is unique, of few characters and lower-cased.
fn new_name(account: &Account, wanted: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(mut name) = wanted else { return Ok(None) };
    if !account.user.bot {
        name = name.to_lowercase();
        username::check_unique(&name)
            .map_err(|mistake| ApiError::invalid_field(["username"], mistake.code, mistake.message))?;
    }
    Ok((name != account.user.username).then_some(name))
}
