//! `/invites`.

use rookery_model::call::Call;
use rookery_model::{ApiError, ErrorCode};

use super::{Input, Route};
use crate::auth::Access;

pub const ROUTES: &[Route] = &[
    Route::get("/{code}", get_invite).access(Access::Optional),
    Route::post("/{code}", |input| Ok(Call::AcceptInvite { code: code(input)? })),
    Route::delete("/{code}", |input| Ok(Call::DeleteInvite { code: code(input)? })),
];

/// Characters of the longest code, a vanity one.
const CODE_MAX_CHARS: usize = 32;

fn get_invite(input: &Input<'_>) -> Result<Call, ApiError> {
    Ok(Call::GetInvite { code: code(input)?, with_counts: input.query().boolean("with_counts") })
}

/// What cannot be a code is a code that does not exist.
fn code(input: &Input<'_>) -> Result<String, ApiError> {
    let code = input.segment("code");
    let is_code = (1..=CODE_MAX_CHARS).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_code { Ok(code.to_owned()) } else { Err(ErrorCode::UnknownInvite.into()) }
}
