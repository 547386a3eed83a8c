//! The secret that operator routes want.

use subtle::ConstantTimeEq;

/// The operator's secret; compared in constant time, never shown.
pub struct OperatorSecret(String);

impl OperatorSecret {
    /// Shorter secrets are refused.
    pub const MIN_CHARS: usize = 32;

    /// Takes a secret; none if it is too short to be one.
    pub fn new(secret: impl Into<String>) -> Option<Self> {
        let secret = secret.into();
        (secret.len() >= Self::MIN_CHARS).then_some(Self(secret))
    }

    /// Whether this is the secret.
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl std::fmt::Debug for OperatorSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_matches() {
        let secret = OperatorSecret::new("0123456789abcdef0123456789abcdef").unwrap();
        assert!(secret.matches("0123456789abcdef0123456789abcdef"));
        assert!(!secret.matches("0123456789abcdef0123456789abcdee"));
        assert!(!secret.matches("0123456789abcdef"));
        assert!(!secret.matches(""));
        assert!(OperatorSecret::new("short").is_none());
    }
}
