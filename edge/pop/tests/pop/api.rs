//! The API itself, in the component that is built into the binary and run natively: both must say the same.

use std::sync::Arc;

use http::{Method, Request};
use http_body_util::Full;
use rookery_edge_api::Config;
use rookery_model::call::{Call, CallReply, CallRequest, Credential};
use rookery_model::error::{ApiError, ErrorCode};
use rookery_model::{DeviceId, UserId};
use rookery_pop::{EngineKind, Pop, PopDeps};
use rookery_token::{Claims, KeyId, SigningKey};

use crate::support::{FakeRegion, TestPop, request, test_config};

/// A point of presence with the real API, a region that knows no channel, and a token that the API takes.
async fn start_api(engine: EngineKind) -> (TestPop, String) {
    assert!(
        !rookery_pop::component::EMBEDDED.is_empty(),
        "the component is not built: `cargo xtask component` builds it"
    );
    let key = SigningKey::generate(KeyId(1), &[7; 32]);
    let claims =
        Claims { user_id: UserId::new(42), key_id: KeyId(1), issued_at: 1, epoch: 0, device: DeviceId::new(1) };
    let api = Config { public_keys: key.public_keys(), ..Config::default() };
    let reply = CallReply { rate_limit: None, moved: None, result: Err(ApiError::from(ErrorCode::UnknownChannel)) };
    let mut reply_cbor = Vec::new();
    ciborium::into_writer(&reply, &mut reply_cbor).unwrap();

    let region = Arc::new(FakeRegion::replying(reply_cbor));
    let mut config = test_config();
    config.engine = engine;
    let pop = Pop::start(config, PopDeps::new(region.clone(), api)).await.unwrap();
    (TestPop { pop, region }, key.sign(claims))
}

fn requests(token: &str) -> Vec<Request<Full<bytes::Bytes>>> {
    let mut requests = vec![
        request(Method::GET, "/api/v10/channels/1", ""),
        request(Method::GET, "/api/v10/users/@me", ""),
        request(Method::POST, "/api/v10/channels/1/messages", r#"{"content":"hello"}"#),
        request(Method::POST, "/api/v10/channels/1/messages", r#"{"content":"#),
        request(Method::POST, "/api/v10/channels/1/messages", format!(r#"{{"content":"{}"}}"#, "x".repeat(2_001))),
        request(Method::POST, "/api/v10/channels/1/messages", format!(r#"{{"content":"{}"}}"#, "x".repeat(300_000))),
        request(Method::DELETE, "/api/v10/channels/1/messages/2", ""),
        request(Method::HEAD, "/api/v10/channels/1", ""),
        request(Method::GET, "/api/v9/gateway", ""),
        request(Method::GET, "/api/gateway", ""),
        request(Method::GET, "/api/v10/no/such/route", ""),
        request(Method::PUT, "/api/v10/gateway", ""),
        request(Method::GET, "/api/v10/channels/1/messages?limit=0&around=x%zz", ""),
    ];
    for request in &mut requests {
        request.headers_mut().insert("authorization", format!("Bot {token}").parse().unwrap());
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    }
    requests.push(request(Method::GET, "/api/v10/channels/1", ""));
    let mut forged = request(Method::GET, "/api/v10/channels/1", "");
    forged.headers_mut().insert("authorization", "Bot NDI.AAAA.AAAA".parse().unwrap());
    requests.push(forged);
    requests
}

#[tokio::test]
async fn an_authenticated_request_goes_to_the_region_and_its_refusal_comes_back() {
    let (pop, token) = start_api(EngineKind::Component).await;
    let answer = pop.send(requests(&token).remove(0)).await;
    answer.assert_error(404, 10003, "Unknown Channel");
    assert_eq!(answer.headers["via"], "1.1 rookery");
    let (_, payload) = pop.region.calls().remove(0);
    let call: CallRequest = ciborium::from_reader(payload.as_slice()).unwrap();
    assert_eq!(call.credential, Credential::Token { token, bot: true });
    assert!(matches!(call.call, Call::GetChannel { .. }));
}

#[tokio::test]
async fn a_head_is_the_get_without_its_body() {
    let (pop, token) = start_api(EngineKind::Component).await;
    let authorized = |method| {
        let mut request = request(method, "/api/v10/channels/1", "");
        request.headers_mut().insert("authorization", format!("Bot {token}").parse().unwrap());
        request
    };
    let (get, head) = (pop.send(authorized(Method::GET)).await, pop.send(authorized(Method::HEAD)).await);
    assert_eq!((head.status, head.body.len()), (get.status, 0));
    assert_eq!(head.headers["content-length"], get.headers["content-length"]);
    assert_eq!(pop.region.calls().len(), 2);
}

#[tokio::test]
async fn component_and_native_say_the_same() {
    let (component, token) = start_api(EngineKind::Component).await;
    let (native, same_token) = start_api(EngineKind::Native).await;
    assert_eq!(token, same_token);
    for (sandboxed, plain) in requests(&token).into_iter().zip(requests(&token)) {
        let what = format!("{} {}", sandboxed.method(), sandboxed.uri());
        let mut sandboxed = component.send(sandboxed).await;
        let mut plain = native.send(plain).await;
        assert!(sandboxed.status.as_u16() < 500, "{what}: {sandboxed:?}");
        for answer in [&mut sandboxed, &mut plain] {
            answer.headers.remove("date");
        }
        assert_eq!(sandboxed.status, plain.status, "{what}");
        assert_eq!(sandboxed.headers, plain.headers, "{what}");
        assert_eq!(sandboxed.body, plain.body, "{what}");
    }
    let payloads = |pop: &TestPop| pop.region.calls().into_iter().map(|(_, payload)| payload).collect::<Vec<_>>();
    assert_eq!(payloads(&component), payloads(&native));
    assert!(payloads(&component).len() >= 3);
}
