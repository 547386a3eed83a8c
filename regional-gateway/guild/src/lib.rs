//! The guild (and DM) as a state machine: members, roles, channels, permissions, who sees what.
