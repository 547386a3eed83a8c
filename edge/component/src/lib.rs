//! The REST API as a WebAssembly component: `wasi:http` and the region import around `rookery_edge_api`.
//!
//! No rule lives here. A request is read, handed to [`rookery_edge_api::handle`], and its response written.

mod env;
mod http;
mod panic;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{ErrorCode, IncomingRequest, ResponseOutparam};

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "platform" });
}

struct Component;

wasip2::http::proxy::export!(Component);

impl Guest for Component {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        panic::install_hook_once();
        let Some(request) = http::read(request) else {
            ResponseOutparam::set(response_out, Err(ErrorCode::HttpRequestBodySize(None)));
            return;
        };
        let env = env::ComponentEnv::get();
        let response = run_to_end(rookery_edge_api::handle(request, env));
        http::write(response, response_out);
    }
}

/// Polls a future once: every import is a plain function in WASI 0.2, so nothing is ever left pending.
fn run_to_end<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the API awaits only the environment, whose futures are ready at once"),
    }
}
