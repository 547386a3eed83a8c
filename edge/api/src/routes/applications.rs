//! `/applications`: the homes of bots.

use rookery_model::call::{Call, ModifyApplication};
use rookery_model::{ApiError, ApplicationId, limits};

use super::{Input, Route};
use crate::shape;

pub const ROUTES: &[Route] = &[
    Route::get("", |_| Ok(Call::ListApplications)),
    Route::post("", create).created(),
    Route::get("/@me", |_| Ok(Call::GetCurrentApplication)),
    Route::patch("/@me", |input| modify(input, None)),
    Route::get("/{application_id}", |input| Ok(Call::GetApplication { application_id: id(input) })),
    Route::patch("/{application_id}", |input| modify(input, Some(id(input)))),
    Route::delete("/{application_id}", |input| Ok(Call::DeleteApplication { application_id: id(input) })),
    Route::post("/{application_id}/delete", |input| Ok(Call::DeleteApplication { application_id: id(input) })),
    Route::post("/{application_id}/bot", |input| Ok(Call::CreateBot { application_id: id(input) }))
        .body(shape::bot_created),
    Route::post("/{application_id}/bot/reset", |input| Ok(Call::ResetBotToken { application_id: id(input) })),
];

const DESCRIPTION_MAX_CHARS: usize = 400;

/// What an application of the API has and this one does not yet.
const NOT_YET: [(&str, &str); 11] = [
    ("icon", "icons"),
    ("cover_image", "cover images"),
    ("team_id", "teams"),
    ("interactions_endpoint_url", "interactions"),
    ("role_connections_verification_url", "role connections"),
    ("custom_install_url", "custom install links"),
    ("install_params", "install parameters"),
    ("integration_types_config", "installation contexts"),
    ("tags", "application tags"),
    ("event_webhooks_url", "event webhooks"),
    ("event_webhooks_types", "event webhooks"),
];

fn id(input: &Input<'_>) -> ApplicationId {
    input.id("application_id")
}

fn create(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    body.refuse(&NOT_YET);
    let name = body.field("name").required(|name| name.visible_string(limits::NAME_MAX_CHARS));
    Ok(Call::CreateApplication { name })
}

fn modify(input: &Input<'_>, application_id: Option<ApplicationId>) -> Result<Call, ApiError> {
    let body = input.body()?;
    body.refuse(&NOT_YET);
    Ok(Call::ModifyApplication(ModifyApplication {
        application_id,
        name: body.field("name").optional(|name| name.visible_string(limits::NAME_MAX_CHARS)),
        description: body.field("description").optional(|text| text.string(0..=DESCRIPTION_MAX_CHARS)),
        bot_public: body.field("bot_public").optional(|public| public.boolean()),
        bot_require_code_grant: body.field("bot_require_code_grant").optional(|require| require.boolean()),
        flags: body.field("flags").optional(|flags| flags.integer(0..=i64::MAX)),
    }))
}
