//! The user as a state machine: sessions, read states, DM list, global rate limit.
