//! Calls about accounts, the caller's own things and applications.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::{ApplicationId, GuildId, Patch, Permissions};

/// `POST /auth/register`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    pub email: String,
    pub username: String,
    pub password: String,
    pub global_name: Option<String>,
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register").finish_non_exhaustive()
    }
}

/// `POST /auth/login`: `login` is an e-mail address or a username.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    pub login: String,
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// `PATCH /users/@me`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModifyCurrentUser {
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub global_name: Patch<String>,
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub accent_color: Patch<u32>,
    pub bio: Option<String>,
    pub email: Option<String>,
    /// The current password; needed to change e-mail, username or password.
    pub password: Option<String>,
    pub new_password: Option<String>,
}

impl fmt::Debug for ModifyCurrentUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModifyCurrentUser").finish_non_exhaustive()
    }
}

/// `GET /users/@me/guilds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListCurrentUserGuilds {
    pub before: Option<GuildId>,
    pub after: Option<GuildId>,
    /// 1–200.
    pub limit: u16,
    pub with_counts: bool,
}

/// `PATCH /applications/{id}` and `/applications/@me` (`application_id` none).
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModifyApplication {
    pub application_id: Option<ApplicationId>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub bot_public: Option<bool>,
    pub bot_require_code_grant: Option<bool>,
    pub flags: Option<u64>,
}

/// `POST /oauth2/authorize` with scope `bot`: adds the bot to a guild.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorize {
    pub client_id: ApplicationId,
    pub guild_id: GuildId,
    pub permissions: Permissions,
}
