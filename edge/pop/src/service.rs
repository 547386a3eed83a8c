//! What every request gets, whoever answers it: limits, CORS, figures, a log line.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use rookery_model::error::ErrorCode;
use tokio::time::Instant;
use uuid::Uuid;

use crate::body::{BodyError, BodyReader};
use crate::client_limit::ClientLimit;
use crate::config::{PopConfig, ms};
use crate::dispatch::{Target, target_of};
use crate::handler::{ApiRequest, ApiResponse, HandleError, Handler};
use crate::status_page::{StatusEntry, StatusPage};
use crate::{CallContext, cors, error_reply, events};

/// Which gateway a response came through (RFC 9110, section 7.6.3).
///
/// discord.py takes a 429 without it for a ban by whatever stands in front of the API, and raises instead of waiting.
const VIA: HeaderValue = HeaderValue::from_static("1.1 rookery");

/// Answers requests of all connections.
pub(crate) struct Service {
    handler: Arc<dyn Handler>,
    bodies: BodyReader,
    clients: ClientLimit,
    status_page: StatusPage,
    request_timeout: Duration,
    region_call_timeout: Duration,
}

impl Service {
    pub fn new(handler: Arc<dyn Handler>, config: &PopConfig, status: &[StatusEntry]) -> Self {
        let requests = &config.requests;
        Self {
            handler,
            bodies: BodyReader::new(
                requests.max_body_bytes,
                ms(requests.body_read_timeout_ms),
                requests.max_buffered_body_bytes,
            ),
            clients: ClientLimit::new(&config.client),
            status_page: StatusPage::new(status),
            request_timeout: ms(requests.timeout_ms),
            region_call_timeout: ms(requests.region_call_timeout_ms),
        }
    }

    /// The page at `/`.
    pub fn status_page(&self) -> &StatusPage {
        &self.status_page
    }

    /// Answers one request.
    pub async fn answer(&self, client: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let (method, uri) = (parts.method.clone(), parts.uri.clone());
        let target = target_of(&parts);
        let mut request_id = None;
        let mut response = match (self.clients.refusal(client), target) {
            (Some(wait), _) => error_reply::client_limited(wait.as_secs_f64()),
            (None, Target::Component) => {
                let id = CallContext::new_id();
                request_id = Some(id);
                self.run_api(parts, body, client, id).await
            }
            (None, Target::Bulk) => {
                self.bodies.discard(body, expects_continue(&parts)).await;
                bulk()
            }
            (None, Target::Preflight) => cors::preflight(&parts.headers),
            (None, Target::StatusPage) => self.status_page.response(),
            (None, Target::Nothing) => error_reply::error(ErrorCode::NotFound),
        };
        self.clients.note(client, response.status, &response.headers);
        cors::allow(&mut response.headers);
        response.headers.insert(header::VIA, VIA);
        events::request_answered(&method, uri.path(), target, response.status, started.elapsed(), request_id);
        into_http(response)
    }

    async fn run_api(&self, parts: Parts, body: Incoming, client: IpAddr, id: Uuid) -> ApiResponse {
        let body = match self.bodies.read(body, expects_continue(&parts)).await {
            Ok(body) => body,
            Err(error) => return refuse_body(&error),
        };
        // Counted from here: the time that a slow client took to send its body is not taken from the API's.
        let deadline = Instant::now() + self.request_timeout;
        let context = CallContext::new(id, &parts.headers, client, deadline, self.region_call_timeout);
        let request =
            ApiRequest { method: parts.method, uri: parts.uri, headers: parts.headers, body: body.bytes.clone() };
        self.handler.handle(request.keep_headers(), Arc::new(context)).await.unwrap_or_else(|failure| {
            if failure == HandleError::Overloaded {
                events::overloaded("requests");
            }
            failure.into()
        })
    }
}

fn expects_continue(parts: &Parts) -> bool {
    parts.headers.contains_key(header::EXPECT)
}

/// The seam for bulk bytes: they will be authorised by the API and streamed past the component to the region. Until
/// then whoever sends them is told so.
fn bulk() -> ApiResponse {
    error_reply::error_with(
        ErrorCode::UnsupportedMediaType,
        "multipart/form-data is not taken here yet: send application/json without attachments",
    )
}

fn refuse_body(error: &BodyError) -> ApiResponse {
    match error {
        BodyError::TooLarge => error_reply::error(ErrorCode::BodyTooLarge),
        BodyError::TimedOut => error_reply::request_timeout(),
        BodyError::Overloaded => {
            events::overloaded("bodies");
            HandleError::Overloaded.into()
        }
        BodyError::Broken => error_reply::broken_body(),
    }
}

fn into_http(response: ApiResponse) -> Response<Full<Bytes>> {
    let mut outgoing = Response::new(Full::new(response.body));
    *outgoing.status_mut() = response.status;
    *outgoing.headers_mut() = response.headers;
    outgoing
}
