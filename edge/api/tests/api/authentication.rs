//! Who may call what, in which form.

use rookery_edge_api::{Request, routes};
use rookery_model::call::{Call, Credential, Reply};
use rookery_token::{KeyId, SigningKey};
use serde_json::json;

use crate::harness::{Host, OPERATOR_SECRET, TOKEN, bare, json_of, ok};

fn with_header(mut request: Request, value: &str) -> Request {
    request.headers.push(("AUTHORIZATION".into(), value.as_bytes().to_vec()));
    request
}

fn credential_for(target: &str, header: &str) -> Result<Credential, u16> {
    let host = Host::answering(&ok(Reply::NoContent));
    let response = host.send(with_header(bare("GET", target, None), header));
    host.credential().ok_or_else(|| {
        assert_eq!(json_of(&response), json!({"message": "401: Unauthorized", "code": 0}));
        response.status
    })
}

#[test]
fn the_forms_of_the_header() {
    let token = |bot| Ok(Credential::Token { token: TOKEN.clone(), bot });
    for (header, expected) in [
        (format!("Bot {}", *TOKEN), token(true)),
        (format!("bot  {}", *TOKEN), token(true)),
        (format!("Bearer {}", *TOKEN), token(false)),
        (TOKEN.clone(), token(false)),
        (format!("Basic {}", *TOKEN), Err(401)),
        (format!("Bot {}x", *TOKEN), Err(401)),
        ("Bot".into(), Err(401)),
        (String::new(), Err(401)),
        (format!("Operator {OPERATOR_SECRET}"), Err(401)),
    ] {
        assert_eq!(credential_for("/users/@me", &header), expected, "{header}");
    }
}

#[test]
fn a_token_of_another_key_never_reaches_the_region() {
    let claims = rookery_token::claims_unverified(&TOKEN).unwrap();
    for seed in [8, 7] {
        let stranger = SigningKey::generate(KeyId(if seed == 7 { 2 } else { 1 }), &[seed; 32]);
        assert_eq!(credential_for("/users/@me", &format!("Bot {}", stranger.sign(claims))), Err(401));
    }
}

#[test]
fn every_route_but_the_few_wants_a_token() {
    let open: Vec<String> = routes()
        .into_iter()
        .filter(|route| {
            let path = route.path.replace("{code}", "abc").replace('{', "1").replace('}', "");
            let host = Host::answering(&ok(Reply::NoContent));
            let response = host.send(bare(route.method, &path, Some(b"{}".to_vec())));
            let is_refused = response.status == 401;
            assert!(!is_refused || host.call().is_none(), "{} reached the region", route.path);
            !is_refused
        })
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    let expected = [
        "GET /gateway",
        "POST /gateway/url",
        "GET /invites/{code}",
        "POST /auth/register",
        "POST /auth/login",
        "GET /voice/regions",
    ];
    assert_eq!(open, expected);
}

#[test]
fn an_optional_token_must_be_valid() {
    assert_eq!(credential_for("/invites/abc", "Bot nonsense"), Err(401));
    assert!(matches!(credential_for("/invites/abc", &TOKEN), Ok(Credential::Token { bot: false, .. })));
    let host = Host::answering(&ok(Reply::NoContent));
    host.send(bare("GET", "/invites/abc", None));
    assert_eq!(host.credential(), Some(Credential::None));
}

#[test]
fn operator_routes_want_the_operators_secret() {
    let secret = Ok(Credential::Operator { secret: OPERATOR_SECRET.into() });
    assert_eq!(credential_for("/operator/status", &format!("Operator {OPERATOR_SECRET}")), secret);
    let long = format!("Operator {}", "x".repeat(513));
    for header in ["Operator", "Operator ", &format!("Bot {}", *TOKEN), &*TOKEN, &long] {
        assert_eq!(credential_for("/operator/status", header), Err(401), "{header:.20}");
    }
}

#[test]
fn the_reason_for_the_audit_log() {
    let reason = |value: &[u8]| {
        let host = Host::answering(&ok(Reply::NoContent));
        let mut request = with_header(bare("DELETE", "/channels/20", None), &TOKEN);
        request.headers.push(("x-audit-log-reason".into(), value.to_vec()));
        let response = host.send(request);
        let called = host.called.borrow().clone();
        called.map(|call| call.reason).ok_or_else(|| json_of(&response))
    };
    assert_eq!(reason(b"spam"), Ok(Some("spam".into())));
    assert_eq!(reason("%C3%BCble%20Nachrede".as_bytes()), Ok(Some("üble Nachrede".into())));
    assert_eq!(reason(b"  "), Ok(None));
    assert_eq!(reason(b"\xff\xfe"), Ok(None));
    assert_eq!(reason("%C3%BC".repeat(512).as_bytes()), Ok(Some("ü".repeat(512))));
    let errors = reason("x".repeat(513).as_bytes()).unwrap_err();
    assert_eq!(errors["errors"]["X-Audit-Log-Reason"]["_errors"][0]["code"], "BASE_TYPE_MAX_LENGTH");
}

#[test]
fn a_refused_token_costs_no_parsing() {
    let host = Host::answering(&ok(Reply::NoContent));
    let response = host.send(bare("POST", "/channels/1/messages", Some(b"not json".to_vec())));
    assert_eq!((response.status, host.call()), (401, None::<Call>));
}
