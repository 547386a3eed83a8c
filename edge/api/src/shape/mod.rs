//! From a reply of the region to a response.

mod body;
mod error;
mod rate_limit;

pub use body::{Body, bot_created, gateway_url, login, plain};
pub use error::error_response;

use rookery_model::ErrorCode;
use rookery_model::call::CallReply;

use crate::Response;
use crate::routes::Shape;

/// Shapes what the region answered as the route documents it.
pub fn reply(reply: CallReply, shape: &Shape) -> Response {
    // The global limit has no bucket, so its 429 shows none, whatever the region says of one.
    let is_global = reply.result.as_ref().is_err_and(|error| error.retry_after.is_some_and(|wait| wait.global));
    let mut response = match reply.result {
        Ok(result) => match (shape.body)(result) {
            Body::Json(bytes) => Response::json(shape.status, bytes),
            Body::Empty => Response::empty(204),
            Body::Unexpected => error_response(&ErrorCode::Internal.into()),
        },
        Err(error) => error_response(&error),
    };
    if let Some(info) = reply.rate_limit.as_ref().filter(|_| !is_global) {
        rate_limit::push_headers(&mut response, info);
    }
    response
}
