//! Access tokens: format, signing and verification.
