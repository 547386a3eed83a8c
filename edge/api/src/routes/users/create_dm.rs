//! `POST /users/@me/channels`: `recipient_id` opens a DM, several `recipients` a group DM.

use rookery_model::call::Call;
use rookery_model::{ApiError, UserId, limits};

use crate::routes::Input;

pub fn create_dm(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    body.refuse(&[("access_tokens", "group DMs opened with access tokens"), ("nicks", "nicknames in group DMs")]);
    let one: Option<UserId> = body.field("recipient_id").optional(|id| id.id());
    let several = body
        .field("recipients")
        .optional(|recipients| recipients.set(1..=limits::GROUP_DM_RECIPIENTS_MAX - 1, |id| id.id::<UserId>()));
    if one.is_none() && several.is_none() && input.is_valid() {
        body.field("recipient_id").missing();
    }
    Ok(Call::CreateDm {
        recipient_ids: one.map(|id| vec![id]).or(several).unwrap_or_default(),
        name: body.field("name").optional(|name| name.visible_string(limits::NAME_MAX_CHARS)),
    })
}
