//! What a person's client says in IDENTIFY that it can deal with.

bitflags::bitflags! {
    /// Those capabilities that change what is sent; all others are passed over.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct Capabilities: u64 {
        /// Guilds that are not looked at send PASSIVE_UPDATE_V1 instead of what is written in them.
        const PASSIVE_GUILD_UPDATE = 1 << 11;
        /// As above, with PASSIVE_UPDATE_V2.
        const PASSIVE_GUILD_UPDATE_V2 = 1 << 14;
    }
}
