//! A request's way through the API.

use rookery_model::call::{Call, CallReply, CallRequest};
use rookery_model::{ApiError, ErrorCode};

use crate::auth::{self, Access};
use crate::routes::{Input, Method, Shape};
use crate::shape;
use crate::{CallFailure, Config, Env, Request, Response, percent, router};

/// Answers one request with at most one call to the region.
pub async fn handle<E: Env>(request: Request, env: &E) -> Response {
    let prepared = match prepare(&request, env.config(), env.now_ms()) {
        Ok(prepared) => prepared,
        Err(response) => return response,
    };
    let mut payload = Vec::with_capacity(512);
    if ciborium::into_writer(&prepared.request, &mut payload).is_err() {
        return error_response(ErrorCode::Internal);
    }
    let answer = match env.call(payload).await {
        Ok(answer) => answer,
        Err(failure) => return failed(failure),
    };
    match ciborium::from_reader::<CallReply, _>(answer.as_slice()) {
        Ok(reply) => shape::reply(reply, &prepared.shape),
        Err(_) => error_response(ErrorCode::Internal),
    }
}

/// A call ready to be sent, and what to make of its answer.
struct Prepared {
    request: CallRequest,
    shape: Shape,
}

/// Everything that needs no region; `Err` is an answer already.
fn prepare(request: &Request, config: &Config, now_ms: u64) -> Result<Prepared, Response> {
    let matched = router::find(&request.method, &request.path).map_err(no_route)?;
    let route = matched.route;
    let credential = auth::credential(request, route.access, config).map_err(error_response)?;
    if request.body.len() > config.max_body_bytes as usize {
        return Err(error_response(ErrorCode::BodyTooLarge));
    }
    let input = Input::new(&matched, request, config, now_ms);
    let reason = if route.access == Access::Token { reason(&input, request) } else { None };
    let call = input.finish(&route.build).map_err(|error| shape::error_response(&error))?;
    Ok(Prepared { request: CallRequest { credential, reason, call }, shape: route.shape })
}

/// `X-Audit-Log-Reason`, decoded.
fn reason(input: &Input<'_>, request: &Request) -> Option<String> {
    const HEADER: &str = "X-Audit-Log-Reason";
    let max_chars = rookery_model::limits::AUDIT_LOG_REASON_MAX_CHARS;
    let text = percent::decode_segment(request.header(HEADER)?).trim().to_owned();
    if text.chars().count() > max_chars {
        input.error(HEADER, "BASE_TYPE_MAX_LENGTH", format!("Must be {max_chars} or fewer in length."));
    }
    (!text.is_empty()).then_some(text)
}

fn no_route(no_route: router::NoRoute) -> Response {
    let mut response = error_response(no_route.code());
    if let router::NoRoute::WrongMethod(allowed) = no_route {
        let mut names: Vec<&str> = allowed.iter().map(|method| method.name()).collect();
        if allowed.contains(&Method::Get) {
            names.push("HEAD");
        }
        response.push("allow", names.join(", "));
    }
    response
}

fn failed(failure: CallFailure) -> Response {
    error_response(match failure {
        CallFailure::Busy | CallFailure::Unavailable => ErrorCode::Unavailable,
        CallFailure::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        CallFailure::TooLarge => ErrorCode::BodyTooLarge,
    })
}

fn error_response(code: ErrorCode) -> Response {
    shape::error_response(&ApiError::from(code))
}

/// What a route makes of a request.
pub type Build = fn(&Input<'_>) -> Result<Call, ApiError>;
