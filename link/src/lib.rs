//! The link between points of presence and regions: framed calls over QUIC with mutual TLS.
