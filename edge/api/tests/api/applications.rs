//! `/applications` and `/oauth2`.

use rookery_model::call::{Authorize, Call, ModifyApplication, Reply};
use rookery_model::{ApplicationId, GuildId, Permissions};
use serde_json::json;

use crate::harness::{
    Case, Host, call_of, case, check, error, errors_of, json_of, not_supported, ok, request, required,
};
use crate::samples;

const AUTHORIZE: &str = "/oauth2/authorize?client_id=40&scope=bot&permissions=8";

pub fn cases() -> Vec<Case> {
    let application_id = ApplicationId::new(40);
    let changes = |application_id| {
        Call::ModifyApplication(ModifyApplication {
            application_id,
            description: Some("d".into()),
            ..Default::default()
        })
    };
    let patch = || Some(json!({"description": "d", "icon": null, "tags": []}));
    vec![
        case!(GET "/applications", "/applications", None => Call::ListApplications => 200 Reply::Applications(Vec::new())),
        case!(POST "/applications", "/applications", Some(json!({"name": "bot"})) =>
            Call::CreateApplication { name: "bot".into() } => 201 samples::application()),
        case!(GET "/applications/@me", "/applications/@me", None =>
            Call::GetCurrentApplication => 200 samples::application()),
        case!(PATCH "/applications/@me", "/applications/@me", patch() => changes(None) => 200 samples::application()),
        case!(GET "/applications/{application_id}", "/applications/40", None =>
            Call::GetApplication { application_id } => 200 samples::application()),
        case!(PATCH "/applications/{application_id}", "/applications/40", patch() =>
            changes(Some(application_id)) => 200 samples::application()),
        case!(DELETE "/applications/{application_id}", "/applications/40", None =>
            Call::DeleteApplication { application_id } => 204 Reply::NoContent),
        case!(POST "/applications/{application_id}/delete", "/applications/40/delete", None =>
            Call::DeleteApplication { application_id } => 204 Reply::NoContent),
        case!(POST "/applications/{application_id}/bot", "/applications/40/bot", None =>
            Call::CreateBot { application_id } => 200 samples::token()),
        case!(POST "/applications/{application_id}/bot/reset", "/applications/40/bot/reset", None =>
            Call::ResetBotToken { application_id } => 200 samples::token()),
        case!(GET "/oauth2/applications/@me", "/oauth2/applications/@me", None =>
            Call::GetCurrentApplication => 200 samples::application()),
        case!(POST "/oauth2/authorize", "/oauth2/authorize?client_id=40&scope=bot&permissions=8",
            Some(json!({"guild_id": "10", "authorize": true})) => Call::Authorize(Authorize {
                client_id: application_id,
                guild_id: GuildId::new(10),
                permissions: Permissions::ADMINISTRATOR,
            }) => 200 Reply::Authorized { location: "https://x/oauth2/authorized".into() }),
    ]
}

#[test]
fn ordinary_use() {
    check(cases());
}

#[test]
fn tokens_of_bots() {
    let answer = |path| json_of(&Host::answering(&ok(samples::token())).send(request("POST", path, None)));
    assert_eq!(answer("/applications/40/bot"), json!({"id": "7", "token": "t"}));
    assert_eq!(answer("/applications/40/bot/reset"), json!({"token": "t"}));
}

#[test]
fn what_is_not_there_yet_is_refused() {
    assert_eq!(
        errors_of(
            "PATCH",
            "/applications/@me",
            json!({"tags": ["x"], "interactions_endpoint_url": "https://x", "name": ""})
        ),
        json!({
            "tags": not_supported("application tags"),
            "interactions_endpoint_url": not_supported("interactions"),
            "name": required(),
        })
    );
    assert_eq!(errors_of("POST", "/applications", json!({})), json!({"name": required()}));
}

#[test]
fn authorising_a_bot() {
    let permissions_of = |target: &str, body| match call_of("POST", target, body) {
        Call::Authorize(authorize) => authorize.permissions.bits(),
        other => panic!("{other:?}"),
    };
    let both_scopes = "/oauth2/authorize?client_id=40&scope=bot+applications.commands&permissions=8";
    assert_eq!(permissions_of(both_scopes, json!({"guild_id": "10", "authorize": true, "permissions": "16"})), 16);
    let no_permissions = "/oauth2/authorize?client_id=40&scope=bot%20applications.commands";
    assert_eq!(permissions_of(no_permissions, json!({"guild_id": "10", "authorize": true})), 0);

    assert_eq!(
        errors_of("POST", "/oauth2/authorize", json!({})),
        json!({"client_id": required(), "scope": required(), "guild_id": required(), "authorize": required()})
    );
    assert_eq!(
        errors_of(
            "POST",
            "/oauth2/authorize?client_id=x&scope=identify&permissions=y",
            json!({"guild_id": "1", "authorize": true})
        ),
        json!({
            "client_id": error("NUMBER_TYPE_COERCE", "Value \"x\" is not snowflake."),
            "scope": error("BASE_TYPE_CHOICES", "Value must be one of {'bot', 'bot applications.commands'}."),
            "permissions": error("NUMBER_TYPE_COERCE", "Value \"y\" is not int."),
        })
    );
    assert_eq!(
        errors_of("POST", AUTHORIZE, json!({"guild_id": "10", "authorize": false})),
        json!({"authorize": error("BASE_TYPE_CHOICES", "Value must be one of {true}.")})
    );
}
