//! `/gateway`: where sessions are opened.

use rookery_model::call::Call;

use super::Route;
use crate::auth::Access;
use crate::shape;

pub const ROUTES: &[Route] = &[
    Route::get("", |_| Ok(Call::GetGateway)).access(Access::Anyone),
    Route::get("/bot", |_| Ok(Call::GetGatewayBot)),
    Route::post("/url", |_| Ok(Call::GatewayUrl)).access(Access::Optional).body(shape::gateway_url),
];
