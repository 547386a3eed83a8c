//! Between `wasi:http` and the API's plain request and response.

use rookery_edge_api::{Request, Response};
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

/// Largest body the component takes, whatever its host allows; its own memory is what it protects.
const MAX_BODY_BYTES: u64 = 16 << 20;
/// How much is asked of the body's stream at a time.
const READ_CHUNK_BYTES: u64 = 256 << 10;

/// Reads a request whole. `None` if its body is too large or breaks off.
pub fn read(incoming: IncomingRequest) -> Option<Request> {
    let target = incoming.path_with_query().unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target, None),
    };
    let headers = incoming.headers().entries();
    // The host has the whole body before it starts an instance and states its length; without one there is no body,
    // and not opening its stream saves five calls to the host.
    let body_bytes = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<u64>().ok())
        .unwrap_or(0);
    let body = match body_bytes {
        0 => Vec::new(),
        1..=MAX_BODY_BYTES => read_body(incoming.consume().ok()?, body_bytes)?,
        _ => return None,
    };
    Some(Request { method: method_name(incoming.method()), path, query, headers, body })
}

fn read_body(body: IncomingBody, expected_bytes: u64) -> Option<Vec<u8>> {
    let stream = body.stream().ok()?;
    let mut bytes = Vec::with_capacity(usize::try_from(expected_bytes).ok()?);
    loop {
        match stream.blocking_read(READ_CHUNK_BYTES) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Some(bytes),
            Err(StreamError::LastOperationFailed(_)) => return None,
        }
        if bytes.len() as u64 > MAX_BODY_BYTES {
            return None;
        }
    }
}

fn method_name(method: Method) -> String {
    match method {
        Method::Get => "GET".into(),
        Method::Head => "HEAD".into(),
        Method::Post => "POST".into(),
        Method::Put => "PUT".into(),
        Method::Delete => "DELETE".into(),
        Method::Connect => "CONNECT".into(),
        Method::Options => "OPTIONS".into(),
        Method::Trace => "TRACE".into(),
        Method::Patch => "PATCH".into(),
        Method::Other(name) => name,
    }
}

/// Hands the response to the host.
pub fn write(response: Response, response_out: ResponseOutparam) {
    let entries: Vec<(String, Vec<u8>)> =
        response.headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
    let outgoing = match Fields::from_list(&entries) {
        Ok(fields) => OutgoingResponse::new(fields),
        Err(_) => return fail(response_out, "the API answered with a header that HTTP forbids"),
    };
    if outgoing.set_status_code(response.status).is_err() {
        return fail(response_out, "the API answered with a status that HTTP does not know");
    }
    if response.body.is_empty() {
        return ResponseOutparam::set(response_out, Ok(outgoing));
    }
    let body = outgoing.body().expect("a new response's body has not been taken");
    ResponseOutparam::set(response_out, Ok(outgoing));
    if write_body(&body, &response.body).is_ok() {
        // Fails only if the host stopped listening, and then nobody is left to tell.
        let _ = OutgoingBody::finish(body, None);
    }
}

fn fail(response_out: ResponseOutparam, reason: &str) {
    ResponseOutparam::set(response_out, Err(ErrorCode::InternalError(Some(reason.into()))));
}

fn write_body(body: &OutgoingBody, mut bytes: &[u8]) -> Result<(), StreamError> {
    let stream = body.write().expect("a new body's stream has not been taken");
    while !bytes.is_empty() {
        let room = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        if room == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        stream.write(now)?;
        bytes = later;
    }
    Ok(())
}
