//! `POST /channels/{id}/invites`.

use rookery_model::call::{Call, CreateInvite};
use rookery_model::{ApiError, limits};

use super::channel_id;
use crate::routes::Input;

/// Seconds: a day.
const MAX_AGE_DEFAULT: u32 = 86_400;

const NOT_YET: [(&str, &str); 5] = [
    // Whoever joins by it is to be removed when they disconnect: until that is so, nobody is told that it will be.
    ("temporary", "temporary membership"),
    ("target_type", "invites to streams and activities"),
    ("target_user_id", "invites to streams"),
    ("target_application_id", "invites to activities"),
    ("role_ids", "invites that give roles"),
];

pub fn create_invite(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    body.refuse(&NOT_YET);
    let (age_max, uses_max) = (i64::from(limits::INVITE_MAX_AGE_SECONDS), i64::from(limits::INVITE_MAX_USES));
    let invite = CreateInvite {
        max_age: body.field("max_age").optional(|age| age.integer(0..=age_max)).unwrap_or(MAX_AGE_DEFAULT),
        max_uses: body.field("max_uses").optional(|uses| uses.integer(0..=uses_max)).unwrap_or(0),
        temporary: false,
        unique: body.field("unique").optional(|unique| unique.boolean()).unwrap_or(false),
    };
    Ok(Call::CreateInvite { channel_id: channel_id(input), invite })
}
