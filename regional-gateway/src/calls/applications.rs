//! Applications and their bots.

use std::sync::Arc;

use rookery_model::call::{Authorize, Call, ModifyApplication, Reply};
use rookery_model::limits;
use rookery_model::store::Write;
use rookery_model::user::{Account, Application, ApplicationView, User};
use rookery_model::{ApiError, ApplicationId, DeviceId, ErrorCode, UserId};

use super::Context;
use crate::errors::from_store;

/// Applications that one account may own.
const MAX_APPLICATIONS: usize = 100;
/// Flags that owners set themselves: the "limited" forms of the privileged intents.
const FLAGS_BY_OWNER: u64 = 1 << 13 | 1 << 15 | 1 << 19;
/// Scopes of OAuth2 that there are.
const ELIGIBLE_SCOPES: [&str; 2] = ["bot", "applications.commands"];
/// What a new application is granted: all privileged intents, since the operator's guilds are few and known.
const FLAGS_OF_NEW: u64 = FLAGS_BY_OWNER;

/// `POST /applications`.
pub async fn create(cx: &Context<'_>, name: String) -> Result<Reply, ApiError> {
    let owner = cx.person()?;
    let owned = cx.region.store.applications_of(owner.user_id()).await.map_err(from_store)?;
    if owned.len() >= MAX_APPLICATIONS {
        return Err(ApiError::invalid_field(
            ["name"],
            "APPLICATION_LIMIT",
            format!("Maximum number of applications reached ({MAX_APPLICATIONS})"),
        ));
    }
    let id = ApplicationId(cx.next_id()?);
    let application = new(id, name, owner.user_id(), HasBot::No);
    let reply = Reply::Application(Box::new(view(cx, &application).await?));
    cx.write(vec![Write::PutApplication(application)], &reply).await?;
    Ok(reply)
}

/// Whether an application starts with its bot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HasBot {
    Yes,
    No,
}

/// An application with the defaults and a key of its own for interactions.
pub fn new(id: ApplicationId, name: String, owner_id: UserId, bot: HasBot) -> Application {
    let key = rookery_token::SigningKey::generate(rookery_token::KeyId(0), &rand::random());
    let verify_key = key.public_keys().key_bytes(rookery_token::KeyId(0)).map(hex).unwrap_or_default();
    Application {
        id,
        name,
        description: String::new(),
        icon: None,
        owner_id,
        bot_public: true,
        bot_require_code_grant: false,
        flags: FLAGS_OF_NEW,
        verify_key,
        has_bot: bot == HasBot::Yes,
        created_at: id.timestamp(),
    }
}

/// `GET /applications`.
pub async fn list(cx: &Context<'_>) -> Result<Reply, ApiError> {
    let owner = cx.person()?;
    let mut views = Vec::new();
    for application in cx.region.store.applications_of(owner.user_id()).await.map_err(from_store)? {
        views.push(view(cx, &application).await?);
    }
    Ok(Reply::Applications(views))
}

/// `GET /applications/{id}`: the owner's, or a bot's own.
pub async fn get(cx: &Context<'_>, id: ApplicationId) -> Result<Reply, ApiError> {
    let application = find(cx, id).await?;
    let caller = cx.identity()?.user_id();
    if application.owner_id != caller && UserId::from(application.id) != caller {
        return Err(ErrorCode::UnknownApplication.into());
    }
    Ok(Reply::Application(Box::new(view(cx, &application).await?)))
}

/// `GET /applications/@me`.
pub async fn current(cx: &Context<'_>) -> Result<Reply, ApiError> {
    let bot = cx.bot()?;
    let application = find(cx, ApplicationId(bot.user_id().0)).await?;
    Ok(Reply::Application(Box::new(view(cx, &application).await?)))
}

/// `PATCH /applications/{id}` by the owner, `PATCH /applications/@me` by the bot.
pub async fn modify(cx: &Context<'_>, changes: ModifyApplication) -> Result<Reply, ApiError> {
    let mut application = match changes.application_id {
        Some(id) => owned(cx, id).await?,
        None => find(cx, ApplicationId(cx.bot()?.user_id().0)).await?,
    };
    if let Some(name) = changes.name {
        application.name = name;
    }
    if let Some(description) = changes.description {
        application.description = description;
    }
    if let Some(public) = changes.bot_public {
        application.bot_public = public;
    }
    if let Some(code_grant) = changes.bot_require_code_grant {
        application.bot_require_code_grant = code_grant;
    }
    if let Some(flags) = changes.flags {
        application.flags = (application.flags & !FLAGS_BY_OWNER) | (flags & FLAGS_BY_OWNER);
    }
    let reply = Reply::Application(Box::new(view(cx, &application).await?));
    cx.write(vec![Write::PutApplication(application)], &reply).await?;
    Ok(reply)
}

/// `POST /applications/{id}/bot`: makes the bot user and its first token.
pub async fn create_bot(cx: &Context<'_>, id: ApplicationId) -> Result<Reply, ApiError> {
    let mut application = owned(cx, id).await?;
    if application.has_bot {
        return Err(ApiError::invalid_field(["bot"], "BOT_ALREADY_EXISTS", "Application already has a bot"));
    }
    let user = User {
        bot: true,
        // Bots' names are not unique, so they keep a discriminator.
        discriminator: format!("{:04}", id.get() % 9_999 + 1),
        ..User::new(UserId::from(id), bot_name(&application.name))
    };
    application.has_bot = true;
    let account = Account { verified: true, ..Account::new(user) };
    let token = cx.region.accounts.issue(&account, DeviceId(cx.next_id()?), cx.unix_ms);
    let reply = Reply::Token { token, user_id: account.user.id };
    let with = vec![Write::PutApplication(application), cx.operation.record(&reply)];
    cx.region.accounts.put(account, with).await?;
    Ok(reply)
}

/// `POST /applications/{id}/bot/reset`: a new token; the old ones end and their sessions close.
pub async fn reset_bot_token(cx: &Context<'_>, id: ApplicationId) -> Result<Reply, ApiError> {
    let application = owned(cx, id).await?;
    if !application.has_bot {
        return Err(ErrorCode::UnknownUser.into());
    }
    let device = DeviceId(cx.next_id()?);
    let reply = |account: &Account| Reply::Token {
        token: cx.region.accounts.issue(account, device, cx.unix_ms),
        user_id: account.user.id,
    };
    let account =
        cx.region.accounts.revoke_all(UserId::from(id), |account| vec![cx.operation.record(&reply(account))]).await?;
    cx.region.revoke(account.user.id, None).await;
    Ok(reply(&account))
}

/// `POST /oauth2/authorize` with scope `bot`: adds the bot to a guild.
pub async fn authorize(cx: &Context<'_>, request: Authorize) -> Result<Reply, ApiError> {
    let person = cx.person()?;
    let application = find(cx, request.client_id).await?;
    // Where the application is at home elsewhere its row may be a moment old; the account of its bot is missed by nobody.
    let has_bot = application.has_bot || cx.region.accounts.get(UserId::from(application.id)).await?.is_some();
    if !has_bot {
        return Err(ApiError::invalid_field(["scope"], "APPLICATION_HAS_NO_BOT", "The application has no bot"));
    }
    if !application.bot_public && application.owner_id != person.user_id() {
        return Err(ErrorCode::ApplicationOwnerOnly.into());
    }
    cx.to_guild(request.guild_id, Call::Authorize(request)).await
}

/// `DELETE /applications/{id}`: its bot's tokens end; the bot's user stays, since messages name it.
pub async fn delete(cx: &Context<'_>, id: ApplicationId) -> Result<Reply, ApiError> {
    let application = owned(cx, id).await?;
    let mut batch = vec![Write::DeleteApplication { application_id: id, owner_id: application.owner_id }];
    if application.has_bot {
        batch.push(cx.operation.record(&Reply::NoContent));
        let bot = UserId::from(id);
        cx.region.accounts.revoke_all(bot, |_| batch).await?;
        cx.region.revoke(bot, None).await;
        return Ok(Reply::NoContent);
    }
    cx.write(batch, &Reply::NoContent).await?;
    Ok(Reply::NoContent)
}

async fn find(cx: &Context<'_>, id: ApplicationId) -> Result<Application, ApiError> {
    let found = cx.region.store.application(id).await.map_err(from_store)?;
    found.ok_or_else(|| ErrorCode::UnknownApplication.into())
}

/// The application if the caller owns it; others do not learn that it exists.
async fn owned(cx: &Context<'_>, id: ApplicationId) -> Result<Application, ApiError> {
    let caller = cx.person()?.user_id();
    let application = find(cx, id).await?;
    if application.owner_id == caller { Ok(application) } else { Err(ErrorCode::UnknownApplication.into()) }
}

async fn view(cx: &Context<'_>, application: &Application) -> Result<ApplicationView, ApiError> {
    let owner = cx.region.accounts.get(application.owner_id).await?.ok_or(ErrorCode::UnknownUser)?;
    let bot = if application.has_bot { cx.region.accounts.get(application.id.into()).await? } else { None };
    let guilds = match &bot {
        Some(bot) => cx.region.store.guilds_of_user(bot.user.id).await.map_err(from_store)?.len(),
        None => 0,
    };
    Ok(ApplicationView {
        id: application.id,
        name: application.name.clone(),
        description: application.description.clone(),
        summary: String::new(),
        icon: application.icon.clone(),
        kind: None,
        bot_public: application.bot_public,
        bot_require_code_grant: application.bot_require_code_grant,
        flags: application.flags,
        flags_new: application.flags.to_string(),
        verify_key: application.verify_key.clone(),
        tags: Vec::new(),
        rpc_origins: Vec::new(),
        redirect_uris: Vec::new(),
        interactions_endpoint_url: None,
        role_connections_verification_url: None,
        approximate_guild_count: u32::try_from(guilds).unwrap_or(u32::MAX),
        approximate_user_install_count: 0,
        approximate_user_authorization_count: 0,
        explicit_content_filter: 0,
        eligible_oauth2_scopes: ELIGIBLE_SCOPES.map(str::to_owned).to_vec(),
        owner: owner.user.clone(),
        team: None,
        bot: bot.map(|bot| Arc::unwrap_or_clone(bot).user),
    })
}

/// A bot's first name is its application's, cut to a username's length.
fn bot_name(application: &str) -> String {
    let name: String = application.trim().chars().take(limits::USERNAME_MAX_CHARS).collect();
    if name.chars().count() < limits::USERNAME_MIN_CHARS { format!("{name} bot") } else { name }
}

/// The bytes in hexadecimal.
fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bot_gets_a_name_of_legal_length() {
        assert_eq!(bot_name("  Greeter  "), "Greeter");
        assert_eq!(bot_name("x"), "x bot");
        assert_eq!(bot_name(&"ä".repeat(100)).chars().count(), 32);
    }
}
