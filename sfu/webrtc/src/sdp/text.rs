//! Lines and what is in them.

use super::{OFFER_BYTES_MAX, SdpError};

/// One line, `<kind>=<value>`, with its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) kind: char,
    pub(super) value: &'a str,
}

/// The lines of a description. What is handed on cannot end a line, so whatever of it an answer repeats stays within one.
pub(super) fn lines(sdp: &str) -> Result<impl Iterator<Item = Result<Line<'_>, SdpError>>, SdpError> {
    if sdp.len() > OFFER_BYTES_MAX {
        return Err(SdpError::TooLong);
    }
    let numbered = sdp.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate();
    Ok(numbered.filter(|(_, line)| !line.is_empty()).map(|(n, line)| {
        let error = SdpError::Line(n + 1);
        let mut chars = line.chars();
        let (Some(kind), Some('=')) = (chars.next(), chars.next()) else { return Err(error) };
        let value = chars.as_str().trim();
        if value.contains(char::is_control) {
            return Err(error);
        }
        Ok(Line { number: n + 1, kind, value })
    }))
}

/// `name:value` of an attribute, or its name alone.
pub(super) fn attribute(value: &str) -> (&str, &str) {
    value.split_once(':').unwrap_or((value, ""))
}

/// Whether it may stand where a name does, and is short.
pub(super) fn is_token(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Whether it is a fragment or a password of ICE (RFC 8839, section 5.4).
pub(super) fn is_ice_text(text: &str, chars_min: usize) -> bool {
    let is_ice_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    // `-` and `_` are none, but some libraries make them of base64url.
    (chars_min..=256).contains(&text.len()) && text.bytes().all(|byte| is_ice_char(byte) || b"-_=".contains(&byte))
}

/// A payload type that RTCP on the same port leaves free (RFC 5761, section 4).
pub(super) fn payload_type(text: &str) -> Option<u8> {
    let number = text.parse().ok()?;
    is_payload_type(number).then_some(number)
}
pub(super) const fn is_payload_type(number: u8) -> bool {
    matches!(number, 0..=63 | 96..=127)
}
