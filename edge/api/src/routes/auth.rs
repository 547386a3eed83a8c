//! `/auth`: accounts of people.

use rookery_model::call::{Call, Login, Register};
use rookery_model::{ApiError, limits};

use super::{Input, Route};
use crate::auth::Access;
use crate::shape;

pub const ROUTES: &[Route] = &[
    Route::post("/register", register).access(Access::Anyone).created(),
    Route::post("/login", login).access(Access::Anyone).body(shape::login),
    Route::post("/logout", |_| Ok(Call::Logout)),
];

/// The longest thing that can be an e-mail address.
const LOGIN_MAX_CHARS: usize = 254;

fn register(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    body.refuse(&[("avatar", "avatars")]);
    let password_chars = limits::PASSWORD_MIN_CHARS..=limits::PASSWORD_MAX_CHARS;
    Ok(Call::Register(Register {
        email: body.field("email").required(|email| email.email()),
        username: body.field("username").required(|username| username.unique_username()),
        password: body.field("password").required(|password| password.string(password_chars)),
        global_name: body.field("global_name").optional(|name| name.visible_string(limits::USERNAME_MAX_CHARS)),
    }))
}

/// No rule of form for the password here: a wrong one is wrong, whatever its length, but hashing is paid by the byte.
fn login(input: &Input<'_>) -> Result<Call, ApiError> {
    let body = input.body()?;
    Ok(Call::Login(Login {
        login: body.field("login").required(|login| login.string(1..=LOGIN_MAX_CHARS)),
        password: body.field("password").required(|password| password.string(1..=limits::PASSWORD_MAX_CHARS)),
    }))
}
