//! What of its guilds a person's session looks at, as its client said by GUILD_SUBSCRIPTIONS.
//!
//! The owner of a guild knows it from the moment at which the session is subscribed there: until then, and when it is
//! subscribed anew, it is told from here.

use std::collections::BTreeMap;

use rookery_model::gateway::{SubscriberId, Subscription};
use rookery_model::{GuildId, limits};

use crate::Region;

/// Guilds that a session looks at at once: all that a person may be in, and those that it left meanwhile.
const GUILDS_MAX: usize = 2 * limits::USER_GUILDS_MAX;

/// What a session looks at; nothing for bots and for people who do not look.
#[derive(Default)]
pub struct Looks(BTreeMap<GuildId, Subscription>);

impl Looks {
    /// What a session of the process before looked at.
    pub fn taken_up(mut looks: BTreeMap<GuildId, Subscription>) -> Self {
        while looks.len() > GUILDS_MAX {
            looks.pop_last();
        }
        Self(looks)
    }

    /// All that it looks at.
    pub const fn all(&self) -> &BTreeMap<GuildId, Subscription> {
        &self.0
    }

    /// Takes over what the client says of its guilds, and tells their owners. Guilds beyond all bounds are passed over.
    pub fn change(
        &mut self,
        region: &Region,
        id: SubscriberId,
        subscriptions: impl IntoIterator<Item = (GuildId, Subscription)>,
    ) {
        for (guild_id, subscription) in subscriptions {
            if self.merge(guild_id, &subscription) {
                region.owners.set_subscriptions(guild_id, id, subscription);
            }
        }
    }

    /// The session was subscribed to a guild.
    pub fn subscribed(&self, region: &Region, id: SubscriberId, guild_id: GuildId) {
        if let Some(subscription) = self.0.get(&guild_id) {
            region.owners.set_subscriptions(guild_id, id, subscription.clone());
        }
    }

    /// The user is no longer in a guild.
    pub fn left(&mut self, guild_id: GuildId) {
        self.0.remove(&guild_id);
    }

    fn merge(&mut self, guild_id: GuildId, new: &Subscription) -> bool {
        if self.0.len() >= GUILDS_MAX && !self.0.contains_key(&guild_id) {
            return false;
        }
        let known = self.0.entry(guild_id).or_default();
        known.typing = new.typing.or(known.typing);
        known.activities = new.activities.or(known.activities);
        known.threads = new.threads.or(known.threads);
        if new.members.is_some() {
            known.members.clone_from(&new.members);
        }
        if new.channels.is_some() {
            known.channels.clone_from(&new.channels);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_stays_and_guilds_are_bounded() {
        let mut looks = Looks::default();
        let typing = Subscription { typing: Some(true), ..Subscription::default() };
        let members = Subscription { members: Some(vec![]), ..Subscription::default() };
        assert!(looks.merge(GuildId::new(1), &typing) && looks.merge(GuildId::new(1), &members));
        let both = Subscription { members: Some(vec![]), ..typing.clone() };
        assert_eq!(looks.0[&GuildId::new(1)], both);
        for id in 2..=GUILDS_MAX as u64 {
            assert!(looks.merge(GuildId::new(id), &typing));
        }
        assert!(!looks.merge(GuildId::new(10_000), &typing));
        looks.left(GuildId::new(2));
        assert!(looks.merge(GuildId::new(10_000), &typing));
    }
}
