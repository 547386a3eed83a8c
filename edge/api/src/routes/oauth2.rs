//! `/oauth2`: the bot's own application, and adding a bot to a guild.

use rookery_model::call::{Authorize, Call};
use rookery_model::{ApiError, ApplicationId, GuildId, Permissions};

use super::{Input, Route};

pub const ROUTES: &[Route] =
    &[Route::get("/applications/@me", |_| Ok(Call::GetCurrentApplication)), Route::post("/authorize", authorize)];

/// Scopes that adding a bot may name; the second is about commands, which a bot brings itself.
const SCOPES: [&str; 2] = ["bot", "applications.commands"];

/// `POST /oauth2/authorize?client_id=&scope=bot&permissions=` `{guild_id, authorize: true}`.
fn authorize(input: &Input<'_>) -> Result<Call, ApiError> {
    let query = input.query();
    let body = input.body()?;
    let client_id: Option<ApplicationId> = query.id("client_id");
    if query.text("client_id").is_none() {
        query.error("client_id", "BASE_TYPE_REQUIRED", "This field is required");
    }
    check_scope(input);
    let in_query = query.text("permissions").map(|bits| {
        bits.parse().map(Permissions::from_bits_retain).unwrap_or_else(|_| {
            let message = format!("Value \"{}\" is not int.", crate::read::shorten(&bits));
            query.error("permissions", "NUMBER_TYPE_COERCE", message);
            Permissions::empty()
        })
    });
    let in_body = body.field("permissions").optional(|permissions| permissions.permissions());
    if !body.field("authorize").required(|authorize| authorize.boolean()) && input.is_valid() {
        body.field("authorize").error("BASE_TYPE_CHOICES", "Value must be one of {true}.");
    }
    Ok(Call::Authorize(Authorize {
        client_id: client_id.unwrap_or_default(),
        guild_id: body.field("guild_id").required(|id| id.id::<GuildId>()),
        permissions: in_body.or(in_query).unwrap_or_default(),
    }))
}

fn check_scope(input: &Input<'_>) {
    let query = input.query();
    let Some(scope) = query.text("scope") else {
        return query.error("scope", "BASE_TYPE_REQUIRED", "This field is required");
    };
    let mut scopes = scope.split_whitespace();
    if !scopes.clone().any(|scope| scope == "bot") || !scopes.all(|scope| SCOPES.contains(&scope)) {
        query.error("scope", "BASE_TYPE_CHOICES", "Value must be one of {'bot', 'bot applications.commands'}.");
    }
}
