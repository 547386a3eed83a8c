//! The query of the gateway's address.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_session::{Compression, Encoding, GatewayParams};

fuzz_target!(|query: &str| {
    let parsed = GatewayParams::from_query(query);
    // What other parameters say changes nothing.
    assert_eq!(GatewayParams::from_query(&format!("x=1&{query}&y")), parsed);
    let Ok(params) = parsed else { return };
    assert!(matches!(params.version, 9 | 10));
    let encoding = match params.encoding {
        Encoding::Json => "json",
        Encoding::Etf => "etf",
        Encoding::Cbor => "cbor",
    };
    let compress = match params.compression {
        Compression::None => "",
        Compression::Declined => "other",
        Compression::ZlibStream => "zlib-stream",
        Compression::ZstdStream => "zstd-stream",
    };
    let written = format!("v={}&encoding={encoding}&compress={compress}", params.version);
    assert_eq!(GatewayParams::from_query(&written), Ok(params));
    // The last word counts.
    assert_eq!(GatewayParams::from_query(&format!("{written}&{query}")).map(|p| p.encoding), Ok(params.encoding));
});
