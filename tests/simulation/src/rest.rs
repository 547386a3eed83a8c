//! A world at rest: what every client believes is what is true, as far as its user may see it.

use std::collections::{BTreeMap, BTreeSet};

use rookery_model::gateway::Intents;
use rookery_model::{ChannelId, GuildId, UserId};

use crate::bus::OwnerKey;
use crate::check::{Invariant, Violation};
use crate::client::Client;
use crate::model::GuildModel;
use crate::store::{GuildRows, Rows};
use crate::truth::{self, plain};
use crate::world::World;

impl World {
    /// What is not as it should be at the end; none if all is.
    pub(crate) fn restlessness(&self) -> Option<Violation> {
        self.clients.iter().find_map(|client| self.restlessness_of(client).err())
    }

    fn restlessness_of(&self, client: &Client) -> Result<(), Violation> {
        let name = format!("client {} of {}", client.index, client.user_id);
        let dead = |what: String| Err(Violation { invariant: Invariant::Liveness, what: format!("{name}: {what}") });
        let Some(known) = client.session.as_ref().filter(|known| self.is_attached(known.subscriber)) else {
            return dead("has no session".into());
        };
        if !self.env.check.is_told(known.subscriber) {
            let what = format!("{name}: {:?} is not told everything", known.subscriber);
            return Err(Violation { invariant: Invariant::NoGap, what });
        }
        let guilds: BTreeSet<GuildId> =
            self.env.store.guilds_of(client.user_id).into_iter().filter(|id| client.holds_guild(*id)).collect();
        for id in &guilds {
            let owner = self.guilds.get(&OwnerKey::Guild(*id));
            if !owner.is_some_and(|owner| owner.has_subscriber(known.subscriber)) {
                return dead(format!("{:?} is not subscribed to {id}", known.subscriber));
            }
        }
        let wrong = |what: String| Err(Violation { invariant: Invariant::State, what: format!("{name}: {what}") });
        if self.wants(client, Intents::GUILDS) {
            let believed: BTreeSet<GuildId> = client.model.guilds.keys().copied().collect();
            if believed != guilds {
                return wrong(format!("believes to be in {believed:?}, is in {guilds:?}"));
            }
            for (id, model) in &client.model.guilds {
                if let Some(rows) = self.env.store.spaces.get(&OwnerKey::Guild(*id))
                    && let Some(guild) = &rows.guild
                    && let Err(what) = self.compare(client, model, rows, guild)
                {
                    return wrong(format!("guild {id}: {what}"));
                }
            }
        }
        let is_bot = self.env.store.users.get(&client.user_id).is_some_and(|user| user.bot);
        let listed: BTreeSet<ChannelId> = self.env.store.listings.get(&client.user_id).cloned().unwrap_or_default();
        if !is_bot && client.model.dms != listed {
            return wrong(format!("believes in the DMs {:?}, has {listed:?}", client.model.dms));
        }
        Ok(())
    }

    fn wants(&self, client: &Client, intent: Intents) -> bool {
        client.intents.is_none_or(|intents| intents.contains(intent))
    }

    fn compare(&self, client: &Client, model: &GuildModel, rows: &Rows, guild: &GuildRows) -> Result<(), String> {
        let same = |what: &str, is_same: bool| if is_same { Ok(()) } else { Err(format!("{what} differ")) };
        same("properties", model.properties == guild.properties)?;
        same("roles", model.roles == guild.roles)?;
        let seen = guild.channels.values().filter(|channel| truth::sees(guild, client.user_id, channel));
        let seen: BTreeMap<_, _> = seen.map(|channel| (channel.id, plain(channel))).collect();
        if model.channels != seen {
            return Err(format!("believes in channels {:?}, sees {:?}", model.channels.keys(), seen.keys()));
        }
        self.compare_members(client, model, guild)?;
        for ((channel, id), content) in &model.messages {
            // What is written in a voice channel may have been withheld for a time.
            if guild.channels.get(channel).is_none_or(|channel| channel.kind.is_voice_based()) {
                continue;
            }
            let row = rows.messages.get(&(*channel, *id));
            let Some(row) = row else { return Err(format!("message {id} is gone")) };
            if !content.is_empty() && *content != row.content {
                return Err(format!("message {id} says {:?}, believed to say {content:?}", row.content));
            }
        }
        Ok(())
    }

    fn compare_members(&self, client: &Client, model: &GuildModel, guild: &GuildRows) -> Result<(), String> {
        if !self.wants(client, Intents::GUILD_MEMBERS) {
            return Ok(());
        }
        if model.member_count != guild.members.len() {
            return Err(format!("counts {} members of {}", model.member_count, guild.members.len()));
        }
        let names: BTreeMap<UserId, String> =
            self.env.store.users.iter().map(|(id, user)| (*id, user.username.clone())).collect();
        for (id, known) in &model.members {
            let row = guild.members.get(id).ok_or_else(|| format!("believes in member {id}"))?;
            let real = truth::member_fact(guild, row, &names);
            if *known != real {
                return Err(format!("member {known:?} is {real:?}"));
            }
        }
        Ok(())
    }
}
