//! `/voice`: what the settings say of voice.

use super::Route;
use crate::auth::Access;
use crate::shape::{self, Body};
use crate::{Config, Response};

/// Open to anybody: what the settings say is no secret, and an answer without a call to the region could not tell a
/// token that was revoked.
pub const ROUTES: &[Route] = &[Route::local("/regions", regions).access(Access::Anyone)];

fn regions(config: &Config) -> Response {
    match shape::json(&config.voice_regions) {
        Body::Json(bytes) => Response::json(200, bytes),
        Body::Empty | Body::Unexpected => shape::error_response(&rookery_model::ErrorCode::Internal.into()),
    }
}
