//! `/auth`: register, log in, log out.

use rookery_model::UserId;
use rookery_model::call::{Call, Credential, Login, Register, Reply};
use serde_json::json;

use crate::harness::{Case, Host, bare, case, check, error, errors_of, json_of, not_supported, ok, refused, required};
use crate::samples;

pub fn cases() -> Vec<Case> {
    let register =
        json!({"email": "Ann@Example.com", "username": "Ann.B_1", "password": "correct horse", "consent": true});
    vec![
        case!(POST "/auth/register", "/auth/register", Some(register) => Call::Register(Register {
            email: "Ann@Example.com".into(),
            username: "ann.b_1".into(),
            password: "correct horse".into(),
            global_name: None,
        }) => 201 samples::token()),
        case!(POST "/auth/login", "/auth/login", Some(json!({"login": "ann", "password": "x"})) => Call::Login(Login {
            login: "ann".into(),
            password: "x".into(),
        }) => 200 samples::token()),
        case!(POST "/auth/logout", "/auth/logout", None => Call::Logout => 204 Reply::NoContent),
    ]
}

#[test]
fn ordinary_use() {
    check(cases());
}

#[test]
fn neither_wants_a_token_nor_passes_one_on() {
    let body = json!({"login": "ann", "password": "x"});
    for header in [None, Some("Bot nonsense")] {
        let host = Host::answering(&ok(samples::token()));
        let mut request = bare("POST", "/auth/login", Some(body.to_string().into_bytes()));
        request.headers.extend(header.map(|value| ("authorization".to_owned(), value.as_bytes().to_vec())));
        let response = host.send(request);
        assert_eq!((response.status, host.credential()), (200, Some(Credential::None)));
    }
}

#[test]
fn the_answers_hold_the_token() {
    let host = Host::answering(&ok(samples::token()));
    let body = json!({"login": "ann", "password": "x"}).to_string();
    let answer = json_of(&host.send(bare("POST", "/auth/login", Some(body.into_bytes()))));
    assert_eq!(answer["token"], "t");
    assert_eq!(answer["user_id"], UserId::new(7).to_string());
    assert!(answer["user_settings"].is_object());

    let host = Host::answering(&ok(samples::token()));
    let body = json!({"email": "a@b.cd", "username": "ann", "password": "12345678"}).to_string();
    let answer = json_of(&host.send(bare("POST", "/auth/register", Some(body.into_bytes()))));
    assert_eq!(answer, json!({"token": "t"}));
}

#[test]
fn every_wrong_field_is_told() {
    assert_eq!(
        errors_of("POST", "/auth/register", json!({})),
        json!({"email": required(), "username": required(), "password": required()})
    );
    assert_eq!(
        errors_of(
            "POST",
            "/auth/register",
            json!({
                "email": "no", "username": "a", "password": "short", "global_name": "x".repeat(33),
                "avatar": "data:image/png;base64,AA",
            })
        ),
        json!({
            "email": error("EMAIL_TYPE_INVALID_EMAIL", "Not a well formed email address."),
            "username": error("BASE_TYPE_BAD_LENGTH", "Must be between 2 and 32 in length."),
            "password": error("BASE_TYPE_BAD_LENGTH", "Must be between 8 and 72 in length."),
            "global_name": error("BASE_TYPE_MAX_LENGTH", "Must be 32 or fewer in length."),
            "avatar": not_supported("avatars"),
        })
    );
}

#[test]
fn usernames_follow_the_rules() {
    let wrong = |username: &str| {
        let body = json!({"email": "a@b.cd", "username": username, "password": "12345678"});
        errors_of("POST", "/auth/register", body)["username"]["_errors"][0]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(wrong("a b"), "USERNAME_INVALID_CHARACTERS");
    assert_eq!(wrong("ännchen"), "USERNAME_INVALID_CHARACTERS");
    assert_eq!(wrong("a..b"), "USERNAME_INVALID_CONTAINS");
    assert_eq!(wrong("Everyone"), "USERNAME_RESERVED");
    assert_eq!(wrong(&"x".repeat(33)), "BASE_TYPE_BAD_LENGTH");
}

#[test]
fn a_body_that_is_no_json_object() {
    for (body, status, code) in [
        ("{", 400, 50109),
        ("{\"login\": \"a\",}", 400, 50109),
        ("\u{feff}{}", 400, 50109),
        ("[]", 400, 50035),
        ("\"x\"", 400, 50035),
        ("null", 400, 50035),
    ] {
        let host = Host::answering(&ok(samples::token()));
        let response = host.send(bare("POST", "/auth/login", Some(body.as_bytes().to_vec())));
        assert_eq!((response.status, &json_of(&response)["code"]), (status, &json!(code)), "{body}");
        assert_eq!(host.call(), None);
    }
    assert_eq!(
        refused("POST", "/auth/login", json!([])).1,
        json!({
            "code": 50035, "message": "Invalid Form Body",
            "errors": error("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType"),
        })
    );
}
