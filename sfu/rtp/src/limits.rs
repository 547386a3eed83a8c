//! Bounds on what strangers can make an endpoint do.

/// What an endpoint answers and tries at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpLimits {
    /// Answers to IP discovery and pings for one member. An answer is as large as its question, so a flood of them comes to
    /// nothing.
    pub answer_burst: u32,
    pub answers_per_second: u32,
    /// Attempts to decrypt what came for one member from an address that is not known to be theirs.
    pub attempt_burst: u32,
    pub attempts_per_second: u32,
    /// After so long without anything from a member, the first packet that decrypts may come from another address: clients
    /// send something every five seconds, unless their NAT forgot them.
    pub rebind_after_ms: u64,
}

impl Default for UdpLimits {
    fn default() -> Self {
        Self {
            answer_burst: 10,
            answers_per_second: 2,
            attempt_burst: 50,
            attempts_per_second: 50,
            rebind_after_ms: 10_000,
        }
    }
}
