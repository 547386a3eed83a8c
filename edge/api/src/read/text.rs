//! Formats of texts: ids, moments, addresses, names.

use std::borrow::Cow;

use rookery_model::{Snowflake, Timestamp};
use serde_json::Value;

use super::{At, Errors};

/// Characters of a value that a message quotes.
const QUOTE_MAX_CHARS: usize = 64;

/// What was wrong with a text.
pub struct Mistake {
    pub code: &'static str,
    pub message: Cow<'static, str>,
}

/// A value as a message quotes it: texts bare, everything else as JSON, cut where it gets long.
pub fn quote(value: &Value) -> String {
    match value {
        Value::String(text) => shorten(text),
        // A container may be as large as the body.
        Value::Array(_) => "[…]".into(),
        Value::Object(_) => "{…}".into(),
        other => shorten(&other.to_string()),
    }
}

/// The beginning of a text.
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(QUOTE_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Reads an id, or tells why it is none.
pub fn snowflake(digits: &str, at: &At<'_>, errors: &Errors, quoted: impl Fn() -> String) -> Option<Snowflake> {
    if let Ok(id) = digits.parse() {
        return Some(id);
    }
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("snowflake value should be less than or equal to {}.", i64::MAX);
        errors.add(at, "NUMBER_TYPE_MAX", message);
    } else {
        errors.add(at, "NUMBER_TYPE_COERCE", format!("Value \"{}\" is not snowflake.", quoted()));
    }
    None
}

/// Reads ISO 8601; without an offset it is UTC.
pub fn naive_timestamp(text: &str) -> Option<Timestamp> {
    const MAX_CHARS: usize = 64;
    if text.len() > MAX_CHARS {
        return None;
    }
    Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}Z")))
}

/// Checks that a text is an address that people can follow: `scheme://host…`.
pub fn check_url(text: &str, schemes: &[&str]) -> Result<(), Mistake> {
    let not_well_formed = || Mistake { code: "URL_TYPE_INVALID_URL", message: "Not a well formed URL.".into() };
    let (scheme, rest) = text.split_once(':').ok_or_else(not_well_formed)?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if !is_scheme {
        return Err(not_well_formed());
    }
    if !schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        let known: Vec<String> = schemes.iter().map(|scheme| format!("'{scheme}'")).collect();
        let scheme = shorten(scheme);
        let message = format!("Scheme \"{scheme}\" is not supported. Scheme must be one of ({}).", known.join(", "));
        return Err(Mistake { code: "URL_TYPE_INVALID_SCHEME", message: message.into() });
    }
    let after = rest.strip_prefix("//").ok_or_else(not_well_formed)?;
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\');
    if !is_authority(authority) || after.contains(forbidden) {
        return Err(not_well_formed());
    }
    Ok(())
}

/// `user@host:port` with at least a host.
fn is_authority(authority: &str) -> bool {
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, after)| after);
    let (host, port) = match host_and_port.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, after)) => {
                let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
                return is_address && after.strip_prefix(':').map_or(after.is_empty(), is_port);
            }
            None => return false,
        },
        None => host_and_port.split_once(':').map_or((host_and_port, None), |(host, port)| (host, Some(port))),
    };
    !host.is_empty() && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// Whether a text has the form of an e-mail address; that somebody reads it is not known here.
pub fn is_email(text: &str) -> bool {
    const MAX_BYTES: usize = 254;
    const LOCAL_MAX_BYTES: usize = 64;
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let local_fits = (1..=LOCAL_MAX_BYTES).contains(&local.len())
        && local.split('.').all(|atom| !atom.is_empty())
        && !local.contains(|c: char| c.is_whitespace() || c.is_control() || "\"(),:;<>@[\\]".contains(c));
    let labels: Vec<&str> = domain.split('.').collect();
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= MAX_BYTES && local_fits && labels.len() >= 2 && labels.iter().all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails() {
        for good in ["a@example.com", "a.b+c@sub.example.org", "ü@müller.example", "x_1@a-b.co"] {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "",
            "a",
            "a@",
            "@b.com",
            "a@b",
            "a@b..com",
            "a b@c.de",
            "a@-b.com",
            "a..b@c.de",
            "a@@b.de",
            ".a@b.de",
            &long,
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn urls() {
        let check = |text: &str| check_url(text, &["http", "https"]).map_err(|mistake| mistake.code);
        for good in [
            "https://example.com",
            "http://example.com:8080/a?b=c#d",
            "HTTPS://user@example.com/",
            "https://[::1]:80/x",
            "https://münchen.example/ä",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "https:/example.com",
            "https://",
            "https:///path",
            "https://a b",
            "https://a:99999",
            "https://[::1",
            "1http://a",
            "://a",
        ] {
            assert_eq!(check(bad), Err("URL_TYPE_INVALID_URL"), "{bad}");
        }
        assert_eq!(check("ftp://example.com"), Err("URL_TYPE_INVALID_SCHEME"));
        assert_eq!(check("javascript:alert(1)"), Err("URL_TYPE_INVALID_SCHEME"));
    }

    #[test]
    fn moments_without_an_offset_are_utc() {
        assert_eq!(naive_timestamp("2021-08-10T11:16:37.02"), naive_timestamp("2021-08-10T11:16:37.02Z"));
        assert!(naive_timestamp("2021-08-10T11:16:37+02:00").is_some());
        assert_eq!(naive_timestamp("soon"), None);
    }

    #[test]
    fn quotes_are_short() {
        assert_eq!(quote(&Value::String("x".repeat(100))), format!("{}…", "x".repeat(64)));
        assert_eq!(quote(&serde_json::json!([1])), "[…]");
        assert_eq!(quote(&serde_json::json!(1.5)), "1.5");
    }
}
