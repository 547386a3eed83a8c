//! GUILD_SUBSCRIPTIONS: a person's session says what of the guild it looks at.

use rookery_model::ChannelId;
use rookery_model::gateway::{SubscriberId, Subscription};

use crate::Outcome;
use crate::state::{GuildCore, Space};

impl GuildCore {
    /// Takes over what a session looks at; what the subscription leaves out stays as it was.
    ///
    /// The outcome's dispatches are for that session alone: what it missed while it did not look at the guild, and the
    /// ranges of member lists that it asks for. Sessions of bots, and those that are not subscribed, are passed over.
    pub fn set_subscriptions(&mut self, id: SubscriberId, wanted: &Subscription) -> Outcome {
        let mut out = Outcome::default();
        if self.subscribers.get(id).is_none_or(|subscriber| subscriber.intents.is_some()) {
            return out;
        }
        self.update_lists(&mut out);
        let mut look = self.lists.look(id);
        look.typing = wanted.typing.unwrap_or(look.typing);
        look.activities = wanted.activities.unwrap_or(look.activities);
        look.threads = wanted.threads.unwrap_or(look.threads);
        if let Some(members) = &wanted.members {
            look.members.clone_from(members);
        }
        if let Some(channels) = &wanted.channels {
            look.channels.clone_from(channels);
        }
        let Space::Guild(guild) = &mut self.space else { return out };
        let notes = guild.for_audiences.take();
        self.subscribers.catch_up(guild, notes);
        let was_passive = self.subscribers.is_passive(id);
        self.subscribers.set_looks(guild, id, look.is_any(), look.typing);
        if was_passive && look.is_any() {
            self.send_passive_rest(&mut out, id);
        }
        if look.is_any() {
            let asked: Vec<ChannelId> = wanted.channels.iter().flat_map(|channels| channels.keys().copied()).collect();
            self.look_at(&mut out, id, look, &asked);
        } else {
            self.lists.forget(id);
        }
        out
    }

    /// What every session looks at, to be set again when the guild was loaded anew.
    pub fn subscriptions(&self) -> Vec<(SubscriberId, Subscription)> {
        self.lists.looks()
    }
}
