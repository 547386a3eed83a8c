//! Who asks: the `Authorization` header in its forms, and the prefilter by signature.
//!
//! A token whose signature is wrong never costs a call. That it is right proves little: the region verifies it again,
//! and its epoch, before it does anything.

mod verified;

use rookery_model::ErrorCode;
use rookery_model::call::Credential;

use crate::{Config, Request};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody is asked who they are; a header is ignored.
    Anyone,
    /// A token, if one is given, must be valid.
    Optional,
    /// Users and bots.
    Token,
    /// The deployment's operator.
    Operator,
}

const OPERATOR_SECRET_MAX_BYTES: usize = 512;

/// Reads the header as the route wants it.
pub fn credential(request: &Request, access: Access, config: &Config) -> Result<Credential, ErrorCode> {
    if access == Access::Anyone {
        return Ok(Credential::None);
    }
    let has_header = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    if !has_header && access == Access::Optional {
        return Ok(Credential::None);
    }
    let value = request.header("authorization").ok_or(ErrorCode::Unauthorized)?.trim();
    let (scheme, rest) = value.split_once(' ').unwrap_or(("", value));
    let rest = rest.trim_start();
    if access == Access::Operator {
        let is_secret =
            scheme.eq_ignore_ascii_case("operator") && (1..=OPERATOR_SECRET_MAX_BYTES).contains(&rest.len());
        return if is_secret { Ok(Credential::Operator { secret: rest.into() }) } else { Err(ErrorCode::Unauthorized) };
    }
    let bot = scheme.eq_ignore_ascii_case("bot");
    if !bot && !scheme.is_empty() && !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ErrorCode::Unauthorized);
    }
    if !verified::is_valid(rest, &config.public_keys) {
        return Err(ErrorCode::Unauthorized);
    }
    Ok(Credential::Token { token: rest.into(), bot })
}
