//! Percent-encoding (RFC 3986, section 2.1).

use std::borrow::Cow;

/// Decodes `%XX`; a `%` without two hex digits stays as it is.
pub fn decode(text: &str) -> Cow<'_, [u8]> {
    decode_mapping(text, false)
}

/// Decodes a part of a query, where `+` is a space. Octets that are not UTF-8 become U+FFFD.
pub fn decode_query(text: &str) -> Cow<'_, str> {
    to_text(decode_mapping(text, true))
}

/// Decodes a segment of a path. Octets that are not UTF-8 become U+FFFD.
pub fn decode_segment(text: &str) -> Cow<'_, str> {
    to_text(decode(text))
}

fn to_text(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }),
    }
}

fn decode_mapping(text: &str, plus_is_space: bool) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| *byte == b'%' || (plus_is_space && *byte == b'+')) {
        return Cow::Borrowed(bytes);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        decoded.push(match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (b'+', _) if plus_is_space => b' ',
            (other, _) => *other,
        });
    }
    Cow::Owned(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding() {
        assert_eq!(decode_segment("%F0%9F%91%8D"), "👍");
        assert_eq!(decode_segment("a%3A1+b"), "a:1+b");
        assert_eq!(decode_query("a+b%2B"), "a b+");
        assert_eq!(decode_segment("100%"), "100%");
        assert_eq!(decode_segment("%4"), "%4");
        assert_eq!(decode_segment("%zz%40me"), "%zz@me");
        assert_eq!(decode_segment("%FF"), "\u{FFFD}");
        assert!(matches!(decode("plain"), Cow::Borrowed(_)));
    }
}
