//! `/voice`: what there is for voice.

use rookery_model::call::Call;

use super::Route;
use crate::auth::Access;

/// Open to anybody: where a deployment's nodes are is no secret.
pub const ROUTES: &[Route] = &[Route::get("/regions", |_| Ok(Call::ListVoiceRegions)).access(Access::Anyone)];
