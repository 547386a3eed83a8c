//! A component that misbehaves on request, for the PoP host's tests: the path says how.

use std::cell::Cell;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::StreamError;

mod bindings {
    wit_bindgen::generate!({ path: "../../../../wit", world: "platform" });
}

use bindings::rookery::edge::{config, region};

thread_local! {
    /// Requests this instance has taken: how the tests see whether an instance is reused.
    static TAKEN: Cell<u32> = const { Cell::new(0) };
}

struct Component;

wasip2::http::proxy::export!(Component);

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let taken = TAKEN.get() + 1;
        TAKEN.set(taken);
        let path = request.path_with_query().unwrap_or_default();
        match path.strip_prefix("/api/").unwrap_or("") {
            "count" => answer(out, 200, taken.to_string().as_bytes()),
            "config" => answer(out, 200, &config::get()),
            "echo" => {
                let body = read_body(&request);
                answer(out, 200, &body);
            }
            "headers" => {
                let mut names: Vec<String> = request.headers().entries().into_iter().map(|(name, _)| name).collect();
                names.sort();
                answer(out, 200, names.join(",").as_bytes());
            }
            "call" => match region::call(b"ping") {
                Ok(reply) => answer(out, 200, &reply),
                Err(error) => answer(out, 503, error.name().as_bytes()),
            },
            "call-twice" => {
                let mut both = region::call(b"one").unwrap_or_default();
                both.extend(region::call(b"two").unwrap_or_default());
                answer(out, 200, &both);
            }
            "status/401" => answer(out, 401, b"{}"),
            "big" => answer(out, 200, &vec![b'x'; 3 << 20]),
            "trap" => panic!("asked to"),
            "loop" => loop {
                std::hint::black_box(taken);
            },
            "bomb" => {
                let mut held: Vec<Vec<u8>> = Vec::new();
                loop {
                    held.push(vec![1; 1 << 20]);
                    std::hint::black_box(&held);
                }
            }
            "recurse" => answer(out, 200, recurse(1).to_string().as_bytes()),
            "silent" => {}
            "late-trap" => {
                respond(out, 200, b"half");
                panic!("after the response");
            }
            "fail" => ResponseOutparam::set(out, Err(ErrorCode::InternalError(None))),
            "grow" => {
                drop(std::hint::black_box(vec![1_u8; 24 << 20]));
                answer(out, 200, taken.to_string().as_bytes());
            }
            "leak" => {
                std::mem::forget(Fields::new());
                answer(out, 200, taken.to_string().as_bytes());
            }
            _ => answer(out, 404, b"no such behaviour"),
        }
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + std::hint::black_box(frame)[0] }
}

fn read_body(request: &IncomingRequest) -> Vec<u8> {
    let Ok(body) = request.consume() else { return Vec::new() };
    let Ok(stream) = body.stream() else { return Vec::new() };
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => return bytes,
        }
    }
}

fn answer(out: ResponseOutparam, status: u16, bytes: &[u8]) {
    respond(out, status, bytes);
}

fn respond(out: ResponseOutparam, status: u16, mut bytes: &[u8]) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(status).expect("a known status");
    let body = response.body().expect("a fresh body");
    ResponseOutparam::set(out, Ok(response));
    {
        let stream = body.write().expect("a fresh stream");
        while !bytes.is_empty() {
            let room = stream.check_write().expect("a host that listens") as usize;
            if room == 0 {
                stream.subscribe().block();
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            stream.write(now).expect("a host that listens");
            bytes = later;
        }
    }
    OutgoingBody::finish(body, None).expect("a host that listens");
}
