//! The query with which a client opens its connection: `?v=8`.

use rookery_model::voice::{VoiceCloseCode, VoiceVersion};

/// Why a connection cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    #[error("the voice gateway has no default version: name one by ?v=")]
    NoVersion,
    #[error("the voice gateway's versions are 4 to 8")]
    Version,
    #[error("the voice gateway's encoding is json")]
    Encoding,
}

impl ParamsError {
    /// The code to close with after accepting the WebSocket; nothing that a reconnect mends.
    pub const fn close_code(self) -> VoiceCloseCode {
        VoiceCloseCode::BadRequest
    }
}

/// Reads the version from the part of the address behind the question mark.
pub fn version_from_query(query: &str) -> Result<VoiceVersion, ParamsError> {
    let mut version = Err(ParamsError::NoVersion);
    for pair in query.split('&') {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("v", number) => {
                version = match number.as_bytes() {
                    [digit @ b'0'..=b'9'] => VoiceVersion::new(digit - b'0').ok_or(ParamsError::Version),
                    _ => Err(ParamsError::Version),
                };
            }
            ("encoding", "json") => {}
            ("encoding", _) => return Err(ParamsError::Encoding),
            // Clients add parameters of their own.
            _ => {}
        }
    }
    version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libraries_send() {
        assert_eq!(version_from_query("v=8"), Ok(VoiceVersion::V8));
        assert_eq!(version_from_query("v=4"), Ok(VoiceVersion::V4));
        assert_eq!(version_from_query("encoding=json&v=6&x"), Ok(VoiceVersion::V6));
    }

    #[test]
    fn a_version_must_be_named_and_be_spoken_here() {
        assert_eq!(version_from_query(""), Err(ParamsError::NoVersion));
        for bad in ["v=3", "v=9", "v=", "v=08", "v=eight", "v=8&v=1"] {
            assert_eq!(version_from_query(bad), Err(ParamsError::Version), "{bad}");
        }
        assert_eq!(version_from_query("v=8&encoding=etf"), Err(ParamsError::Encoding));
        assert_eq!(ParamsError::Version.close_code().code(), 4020);
    }
}
