//! `PATCH /users/@me`.

use rookery_model::call::{Call, ModifyCurrentUser};
use rookery_model::{ApiError, Patch, limits};

use crate::routes::Input;

const BIO_MAX_CHARS: usize = 190;

pub fn modify_current_user(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    body.refuse(&[("avatar", "avatars"), ("banner", "banners")]);
    let new_password_chars = limits::PASSWORD_MIN_CHARS..=limits::PASSWORD_MAX_CHARS;
    Ok(Call::ModifyCurrentUser(ModifyCurrentUser {
        username: body.field("username").optional(|username| username.username()),
        global_name: body.field("global_name").patch_text(limits::USERNAME_MAX_CHARS),
        accent_color: body.field("accent_color").patch(|color| color.color()),
        bio: match body.field("bio").patch_text(BIO_MAX_CHARS) {
            Patch::Keep => None,
            Patch::Clear => Some(String::new()),
            Patch::Set(bio) => Some(bio),
        },
        email: body.field("email").optional(|email| email.email()),
        password: body.field("password").optional(|password| password.string(1..=limits::PASSWORD_MAX_CHARS)),
        new_password: body.field("new_password").optional(|password| password.string(new_password_chars)),
    }))
}
