//! `/voice`: what the settings say of voice.

use super::Route;
use crate::shape::{self, Body};
use crate::{Config, Response};

pub const ROUTES: &[Route] = &[Route::local("/regions", regions)];

fn regions(config: &Config) -> Response {
    match shape::json(&config.voice_regions) {
        Body::Json(bytes) => Response::json(200, bytes),
        Body::Empty | Body::Unexpected => shape::error_response(&rookery_model::ErrorCode::Internal.into()),
    }
}
