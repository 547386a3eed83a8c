//! Bugs that are planted on purpose, to see that the invariants find them.

/// What is wrong in a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plant {
    #[default]
    Nothing,
    /// Now and then the bus swaps two events on their way to a session.
    SwappedEvents,
    /// A message goes to those who could read its channel when the message before it came.
    StaleAudience,
    /// RESUME sends the last event that the client has once more.
    ReplayFromSeq,
    /// Now and then an event for a session without a connection is dropped.
    DroppedWhileDetached,
    /// Every session gets the content of messages.
    ContentForAll,
}
