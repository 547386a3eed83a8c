//! The query with which a client opens its connection: `?v=10&encoding=json&compress=zlib-stream`.

use rookery_model::gateway::CloseCode;
use serde::{Deserialize, Serialize};

/// How payloads are written on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    #[default]
    Json,
    Etf,
    /// This server's own: as JSON in CBOR, with ids as integers.
    Cbor,
}

/// How a connection compresses what the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// None asked for: single payloads may still be compressed if IDENTIFY says so.
    #[default]
    None,
    /// One that is not spoken here was asked for: everything goes out uncompressed, single payloads too, because the
    /// client hands every binary message to a decompressor of its own choice.
    Declined,
    /// One zlib stream over the whole connection, each message flushed.
    ZlibStream,
    /// One zstd frame over the whole connection, each message in whole blocks.
    ZstdStream,
}

/// What a connection's query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayParams {
    /// 9 or 10.
    pub version: u8,
    pub encoding: Encoding,
    pub compression: Compression,
}

impl Default for GatewayParams {
    fn default() -> Self {
        Self { version: 10, encoding: Encoding::Json, compression: Compression::None }
    }
}

/// Why a connection cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    #[error("the gateway's versions are 9 and 10")]
    Version,
    #[error("the encodings are json, etf and cbor")]
    Encoding,
}

impl ParamsError {
    /// The code to close with after accepting the WebSocket: both are mistakes that a reconnect does not mend.
    pub const fn close_code(self) -> CloseCode {
        CloseCode::InvalidApiVersion
    }
}

impl GatewayParams {
    /// Reads the part of the address behind the question mark; what is absent takes its default.
    pub fn from_query(query: &str) -> Result<Self, ParamsError> {
        let mut params = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "v" => {
                    params.version = match value {
                        "9" => 9,
                        "10" => 10,
                        _ => return Err(ParamsError::Version),
                    };
                }
                "encoding" => {
                    params.encoding = match value {
                        "json" => Encoding::Json,
                        "etf" => Encoding::Etf,
                        "cbor" => Encoding::Cbor,
                        _ => return Err(ParamsError::Encoding),
                    };
                }
                "compress" => {
                    params.compression = match value {
                        "" => Compression::None,
                        "zlib-stream" => Compression::ZlibStream,
                        "zstd-stream" => Compression::ZstdStream,
                        _ => Compression::Declined,
                    };
                }
                // Clients add parameters of their own.
                _ => {}
            }
        }
        Ok(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libraries_send() {
        let of = GatewayParams::from_query;
        assert_eq!(of(""), Ok(GatewayParams::default()));
        assert_eq!(of("v=10&encoding=json"), Ok(GatewayParams::default()));
        assert_eq!(
            of("encoding=etf&v=9&compress=zlib-stream"),
            Ok(GatewayParams { version: 9, encoding: Encoding::Etf, compression: Compression::ZlibStream })
        );
        assert_eq!(of("v=10&compress=zstd-stream").map(|p| p.compression), Ok(Compression::ZstdStream));
        assert_eq!(of("v=10&compress=brotli-stream").map(|p| p.compression), Ok(Compression::Declined));
        assert_eq!(of("encoding=cbor").map(|p| p.encoding), Ok(Encoding::Cbor));
        assert_eq!(of("v=10&client=web&compress").map(|p| p.compression), Ok(Compression::None));
    }

    #[test]
    fn other_versions_and_encodings_are_refused() {
        for bad in ["v=8", "v=11", "v=", "v=010", "v=ten"] {
            assert_eq!(GatewayParams::from_query(bad), Err(ParamsError::Version), "{bad}");
        }
        assert_eq!(GatewayParams::from_query("encoding=xml"), Err(ParamsError::Encoding));
        assert_eq!(ParamsError::Version.close_code().code(), 4012);
    }
}
