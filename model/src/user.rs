//! Users, accounts and applications.

use serde::{Deserialize, Serialize};

use crate::{ApplicationId, DeviceId, Timestamp, UserId};

const fn is_false(b: &bool) -> bool {
    !*b
}

fn zero_discriminator() -> String {
    "0".into()
}

/// What anybody may know of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    /// Unique name, 2–32 of `a-z0-9_.`.
    pub username: String,
    /// `"0"` for unique usernames.
    #[serde(default = "zero_discriminator")]
    pub discriminator: String,
    /// Display name.
    #[serde(default)]
    pub global_name: Option<String>,
    #[serde(default)]
    pub avatar: Option<String>,
    #[serde(default)]
    pub banner: Option<String>,
    #[serde(default)]
    pub accent_color: Option<u32>,
    #[serde(default)]
    pub avatar_decoration_data: Option<()>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub bot: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub system: bool,
    #[serde(default)]
    pub public_flags: u64,
    /// All flags that others may see: the public ones.
    #[serde(default)]
    pub flags: u64,
    /// The guild whose tag the user wears: there are no tags.
    #[serde(default)]
    pub primary_guild: Option<()>,
}

impl User {
    /// A user with a name and nothing else set.
    pub fn new(id: UserId, username: impl Into<String>) -> Self {
        Self {
            id,
            username: username.into(),
            discriminator: zero_discriminator(),
            global_name: None,
            avatar: None,
            banner: None,
            accent_color: None,
            avatar_decoration_data: None,
            bot: false,
            system: false,
            public_flags: 0,
            flags: 0,
            primary_guild: None,
        }
    }
}

/// The caller's own user, with what only they may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentUser {
    #[serde(flatten)]
    pub user: User,
    pub email: Option<String>,
    pub verified: bool,
    pub mfa_enabled: bool,
    pub locale: String,
    pub premium_type: u8,
    pub bio: String,
    /// A new token, in the answer to a change that ended the old ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// An account as stored: the user, and what signs them in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub user: User,
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub verified: bool,
    /// Argon2id PHC string; absent for bots and seeded users.
    #[serde(default)]
    pub password_hash: Option<String>,
    /// Tokens issued with a lower epoch are void.
    #[serde(default)]
    pub token_epoch: u32,
    /// Devices of this epoch that signed out.
    #[serde(default)]
    pub revoked_devices: Vec<DeviceId>,
    #[serde(default)]
    pub locale: Option<String>,
    #[serde(default)]
    pub bio: String,
}

impl Account {
    /// An account with nothing but its user.
    pub fn new(user: User) -> Self {
        Self {
            user,
            email: None,
            verified: false,
            password_hash: None,
            token_epoch: 0,
            revoked_devices: Vec::new(),
            locale: None,
            bio: String::new(),
        }
    }
    /// The view that the account's owner gets.
    pub fn current_user(&self) -> CurrentUser {
        CurrentUser {
            user: self.user.clone(),
            email: self.email.clone(),
            verified: self.verified,
            mfa_enabled: false,
            locale: self.locale.clone().unwrap_or_else(|| "en-US".into()),
            premium_type: 0,
            bio: self.bio.clone(),
            token: None,
        }
    }
}

/// An application, the home of a bot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    pub id: ApplicationId,
    pub name: String,
    pub description: String,
    #[serde(default)]
    pub icon: Option<String>,
    pub owner_id: UserId,
    pub bot_public: bool,
    pub bot_require_code_grant: bool,
    /// Public flags; bits 18/19 tell that the message content intent is granted.
    pub flags: u64,
    /// Hex Ed25519 key with which interactions are signed.
    pub verify_key: String,
    #[serde(default)]
    pub has_bot: bool,
    pub created_at: Timestamp,
}

/// An application as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationView {
    pub id: ApplicationId,
    pub name: String,
    pub description: String,
    pub summary: String,
    pub icon: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<u8>,
    pub bot_public: bool,
    pub bot_require_code_grant: bool,
    pub flags: u64,
    /// The same as decimal text, which has room for more bits.
    #[serde(default)]
    pub flags_new: String,
    pub verify_key: String,
    pub tags: Vec<String>,
    pub rpc_origins: Vec<String>,
    pub redirect_uris: Vec<String>,
    pub interactions_endpoint_url: Option<String>,
    pub role_connections_verification_url: Option<String>,
    pub approximate_guild_count: u32,
    pub approximate_user_install_count: u32,
    #[serde(default)]
    pub approximate_user_authorization_count: u32,
    /// What is filtered out of its messages: nothing.
    #[serde(default)]
    pub explicit_content_filter: u8,
    /// Scopes of OAuth2 that it may ask for.
    #[serde(default)]
    pub eligible_oauth2_scopes: Vec<String>,
    pub owner: User,
    pub team: Option<()>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<User>,
}
