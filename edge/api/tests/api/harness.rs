//! A host for the API that records the call and gives an answer made before.

use std::cell::RefCell;
use std::future::ready;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use rookery_edge_api::{CallFailure, Config, Env, Request, Response, handle};
use rookery_model::call::{Call, CallReply, CallRequest, Credential, Reply};
use rookery_model::{DeviceId, UserId};
use rookery_token::{Claims, KeyId, SigningKey};
use serde_json::Value;

pub const OPERATOR_SECRET: &str = "open sesame";
/// The host's clock.
pub const NOW_MS: u64 = 1_700_000_000_000;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(KeyId(1), &[7; 32]));
static CONFIG: LazyLock<Config> =
    LazyLock::new(|| Config { public_keys: KEY.public_keys(), max_body_bytes: 100_000, ..Config::default() });

/// A valid token.
pub static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let claims = Claims { user_id: UserId::new(7), key_id: KeyId(1), issued_at: 1, epoch: 0, device: DeviceId::new(5) };
    KEY.sign(claims)
});

/// The host.
pub struct Host {
    pub answer: Result<Vec<u8>, CallFailure>,
    pub config: Config,
    pub called: RefCell<Option<CallRequest>>,
}

impl Host {
    pub fn answering(reply: &CallReply) -> Self {
        let mut bytes = Vec::new();
        ciborium::into_writer(reply, &mut bytes).unwrap();
        Self::giving(Ok(bytes))
    }

    pub fn giving(answer: Result<Vec<u8>, CallFailure>) -> Self {
        Self { answer, config: CONFIG.clone(), called: RefCell::new(None) }
    }

    /// Sends a request; every future of this host is ready at once.
    pub fn send(&self, request: Request) -> Response {
        match pin!(handle(request, self)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => response,
            Poll::Pending => panic!("the API waits for something other than the host"),
        }
    }

    pub fn call(&self) -> Option<Call> {
        self.called.borrow().as_ref().map(|request| request.call.clone())
    }

    pub fn credential(&self) -> Option<Credential> {
        self.called.borrow().as_ref().map(|request| request.credential.clone())
    }
}

impl Env for Host {
    fn config(&self) -> &Config {
        &self.config
    }
    fn call(&self, payload: Vec<u8>) -> impl Future<Output = Result<Vec<u8>, CallFailure>> {
        let request = ciborium::from_reader(payload.as_slice()).unwrap();
        assert!(self.called.replace(Some(request)).is_none(), "one request made two calls");
        ready(self.answer.clone())
    }
    fn now_ms(&self) -> u64 {
        NOW_MS
    }
}

pub fn ok(reply: Reply) -> CallReply {
    CallReply { rate_limit: None, moved: None, result: Ok(reply) }
}

/// A request with a valid token; `target` is the path after the version, with its query.
pub fn request(method: &str, target: &str, body: Option<&Value>) -> Request {
    let mut request = bare(method, target, body.map(|body| body.to_string().into_bytes()));
    let value =
        if target.starts_with("/operator") { format!("Operator {OPERATOR_SECRET}") } else { format!("Bot {}", *TOKEN) };
    request.headers.push(("Authorization".into(), value.into_bytes()));
    request
}

/// A request without a token.
pub fn bare(method: &str, target: &str, body: Option<Vec<u8>>) -> Request {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
    let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
    let (method, path) = (method.to_owned(), format!("/api/v10{path}"));
    Request { method, path, query, headers, body: body.unwrap_or_default() }
}

pub fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// The call that a valid request makes.
pub fn call_of(method: &str, target: &str, body: Value) -> Call {
    let host = Host::answering(&ok(Reply::NoContent));
    let response = host.send(request(method, target, Some(&body)));
    host.call().unwrap_or_else(|| panic!("{method} {target} {body}: {}", json_of(&response)))
}

/// The answer to a request that must not reach the region.
pub fn refused(method: &str, target: &str, body: Value) -> (u16, Value) {
    let host = Host::answering(&ok(Reply::NoContent));
    let response = host.send(request(method, target, Some(&body)));
    assert_eq!(host.call(), None, "{method} {target} {body} reached the region");
    (response.status, json_of(&response))
}

/// The field errors of a request, the envelope checked.
pub fn errors_of(method: &str, target: &str, body: Value) -> Value {
    let (status, mut answer) = refused(method, target, body);
    assert_eq!(
        (status, &answer["code"], &answer["message"]),
        (400, &50035.into(), &"Invalid Form Body".into()),
        "{answer}"
    );
    answer["errors"].take()
}

/// `{"_errors": [{code, message}]}`.
pub fn error(code: &str, message: &str) -> Value {
    serde_json::json!({ "_errors": [{ "code": code, "message": message }] })
}

pub fn required() -> Value {
    error("BASE_TYPE_REQUIRED", "This field is required")
}

pub fn not_supported(feature: &str) -> Value {
    error("FIELD_NOT_SUPPORTED", &format!("This deployment does not support {feature} yet."))
}

/// A route's ordinary use.
pub struct Case {
    pub method: &'static str,
    /// Path and query.
    pub target: &'static str,
    /// The route's pattern.
    pub route: &'static str,
    pub body: Option<Value>,
    pub call: Call,
    pub reply: Reply,
    pub status: u16,
}

/// Checks that each case makes its call and gets its status.
pub fn check(cases: Vec<Case>) {
    for case in cases {
        let Case { method, target, body, .. } = &case;
        for prefix in ["/api/v10", "/api/v9", "/api"] {
            let host = Host::answering(&ok(case.reply.clone()));
            let mut request = request(method, target, body.as_ref());
            request.path = request.path.replacen("/api/v10", prefix, 1);
            let response = host.send(request);
            let answer = String::from_utf8_lossy(&response.body).into_owned();
            assert_eq!(host.call().as_ref(), Some(&case.call), "{method} {target}: {answer}");
            assert_eq!(response.status, case.status, "{method} {target}: {answer}");
            assert_eq!(response.body.is_empty(), case.status == 204, "{method} {target}");
        }
    }
}

macro_rules! case {
    ($method:ident $route:literal, $target:literal, $body:expr => $call:expr => $status:literal $reply:expr) => {
        crate::harness::Case {
            method: stringify!($method),
            target: $target,
            route: $route,
            body: $body,
            call: $call,
            reply: $reply,
            status: $status,
        }
    };
}
pub(crate) use case;
