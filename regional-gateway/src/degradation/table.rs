//! The table: what becomes of each feature at each level.

use super::level::Level;

/// What can be done worse, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Feature {
    /// TYPING_START.
    Typing,
    /// PRESENCE_UPDATE: how long changes are gathered.
    Presence,
    /// GUILD_MEMBER_LIST_UPDATE, as far as presences cause it: how long changes are gathered, together with them.
    MemberList,
    /// IDENTIFY: how many are worked on at once.
    Identify,
    /// Sessions that do not resume one.
    NewSessions,
    /// Messages, and whatever else was acknowledged.
    Messages,
}

/// What is done about a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// As ever.
    Full,
    /// Everything, so many times slower: longer batches, fewer at once.
    Slower(u32),
    /// Nothing; nobody is told.
    Dropped,
    /// Nothing; whoever asks is told to come again.
    Refused,
}

impl Step {
    /// Its name in `rookery admin status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Slower(_) => "slower",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
        }
    }

    /// Its number in metrics.
    pub const fn number(self) -> u8 {
        match self {
            Self::Full => 0,
            Self::Slower(_) => 1,
            Self::Dropped | Self::Refused => 2,
        }
    }
}

impl Feature {
    /// All of them, as the table has them.
    pub const ALL: [Self; 6] =
        [Self::Typing, Self::Presence, Self::MemberList, Self::Identify, Self::NewSessions, Self::Messages];

    /// Its name in metrics and in `rookery admin status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Typing => "typing",
            Self::Presence => "presence",
            Self::MemberList => "member_list",
            Self::Identify => "identify",
            Self::NewSessions => "new_sessions",
            Self::Messages => "messages",
        }
    }

    /// The table's cell.
    pub const fn at(self, level: Level) -> Step {
        TABLE[self as usize].1[level as usize]
    }
}

use Step::{Dropped, Full, Refused, Slower};

/// One row a feature, one column a level: normal, elevated, high, critical.
///
/// Messages are never dropped. What cannot be taken is refused with 503 before it is acknowledged, by the bounded queues
/// that it would have to wait in; no level changes that.
#[rustfmt::skip]
const TABLE: [(Feature, [Step; 4]); 6] = [
    (Feature::Typing,      [Full, Dropped,   Dropped,    Dropped]),
    (Feature::Presence,    [Full, Slower(2), Slower(4),  Slower(12)]),
    (Feature::MemberList,  [Full, Full,      Slower(4),  Slower(12)]),
    (Feature::Identify,    [Full, Full,      Slower(2),  Slower(4)]),
    (Feature::NewSessions, [Full, Full,      Full,       Refused]),
    (Feature::Messages,    [Full, Full,      Full,       Full]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_has_its_row() {
        for (n, feature) in Feature::ALL.into_iter().enumerate() {
            assert_eq!((feature as usize, TABLE[n].0), (n, feature));
        }
    }

    #[test]
    fn nothing_gets_better_with_load() {
        let slowness = |step| match step {
            Full => 1,
            Slower(times) => times,
            Dropped | Refused => u32::MAX,
        };
        for feature in Feature::ALL {
            assert_eq!(feature.at(Level::Normal), Full, "{feature:?}");
            let steps = Level::ALL.map(|level| slowness(feature.at(level)));
            assert!(steps.is_sorted(), "{feature:?}: {steps:?}");
        }
    }

    #[test]
    fn the_order_of_giving_up() {
        // Typing goes first, messages never, new sessions last.
        assert_eq!(Feature::Typing.at(Level::Elevated), Dropped);
        let refused: Vec<_> = Feature::ALL.into_iter().filter(|f| f.at(Level::Critical) == Refused).collect();
        assert_eq!(refused, [Feature::NewSessions]);
        assert!(Feature::ALL.into_iter().all(|f| f.at(Level::High) != Refused));
        assert!(Level::ALL.into_iter().all(|level| Feature::Messages.at(level) == Full));
    }
}
