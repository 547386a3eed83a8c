//! A client's picture of the world, built of nothing but the events that it gets.

use std::collections::{BTreeMap, BTreeSet};

use rookery_model::channel::Channel;
use rookery_model::guild::GuildProperties;
use rookery_model::role::Role;
use rookery_model::{ChannelId, GuildId, MessageId, RoleId, UserId};

use crate::fact::{Change, Fact, MemberFact, Snapshot, Source};

/// What a client knows.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub guilds: BTreeMap<GuildId, GuildModel>,
    pub dms: BTreeSet<ChannelId>,
}

/// What a client knows of a guild.
#[derive(Clone, Debug)]
pub struct GuildModel {
    pub properties: GuildProperties,
    pub roles: BTreeMap<RoleId, Role>,
    pub channels: BTreeMap<ChannelId, Channel>,
    pub members: BTreeMap<UserId, MemberFact>,
    pub member_count: usize,
    /// Those that came since the channel was last seen newly.
    pub messages: BTreeMap<(ChannelId, MessageId), String>,
}

impl Model {
    /// Takes in an event, refusing those that make no sense at this point.
    ///
    /// # Errors
    /// The event is about something that the client does not know, or knows already. `follows_guilds`: whether it asked
    /// to be told of guilds at all.
    pub fn apply(&mut self, source: Source, fact: &Fact, follows_guilds: bool) -> Result<(), String> {
        let guild_id = match (source, fact) {
            (Source::Dm(id), Fact::DmCreate(_)) => {
                // It may come twice: a user's owner that was loaded anew does not know what was told before.
                self.dms.insert(id);
                return Ok(());
            }
            (Source::Dm(id), Fact::DmDelete(_)) => {
                self.dms.remove(&id);
                return Ok(());
            }
            (Source::Dm(_) | Source::User, _) => return Ok(()),
            (Source::Guild(id), _) => id,
        };
        match fact {
            Fact::GuildCreate(snapshot) => {
                self.guilds.insert(guild_id, GuildModel::new(snapshot));
                return Ok(());
            }
            Fact::GuildDelete(_) => {
                let known = self.guilds.remove(&guild_id);
                return known.map(drop).ok_or_else(|| format!("{guild_id} is gone and was not there"));
            }
            _ if !follows_guilds => return Ok(()),
            _ => {}
        }
        let guild = self.guilds.get_mut(&guild_id).ok_or_else(|| format!("{fact:?} of an unknown guild"))?;
        guild.apply(fact)
    }
}

impl GuildModel {
    fn new(snapshot: &Snapshot) -> Self {
        Self {
            properties: snapshot.properties.clone(),
            roles: snapshot.roles.iter().map(|role| (role.id, role.clone())).collect(),
            channels: snapshot.channels.iter().map(|channel| (channel.id, channel.clone())).collect(),
            members: snapshot.members.iter().map(|member| (member.user_id, member.clone())).collect(),
            member_count: snapshot.member_count,
            messages: BTreeMap::new(),
        }
    }

    fn apply(&mut self, fact: &Fact) -> Result<(), String> {
        let sense = |made: bool| if made { Ok(()) } else { Err(format!("{fact:?} makes no sense here")) };
        match fact {
            Fact::GuildUpdate(properties) => self.properties = (**properties).clone(),
            Fact::Channel(Change::Create, channel) => {
                return sense(self.channels.insert(channel.id, (**channel).clone()).is_none());
            }
            Fact::Channel(Change::Update, channel) => {
                return sense(self.channels.insert(channel.id, (**channel).clone()).is_some());
            }
            Fact::Channel(Change::Delete, channel) => {
                self.messages.retain(|(id, _), _| *id != channel.id);
                return sense(self.channels.remove(&channel.id).as_ref() == Some(&**channel));
            }
            Fact::Role(Change::Create, role) => return sense(self.roles.insert(role.id, (**role).clone()).is_none()),
            Fact::Role(_, role) => return sense(self.roles.insert(role.id, (**role).clone()).is_some()),
            Fact::RoleDelete(id) => {
                for member in self.members.values_mut() {
                    member.roles.retain(|role| role != id);
                }
                return sense(self.roles.remove(id).is_some());
            }
            Fact::Member(change, member) => {
                self.member_count += usize::from(*change == Change::Create);
                self.members.insert(member.user_id, (**member).clone());
            }
            Fact::MemberRemove(id) => {
                self.member_count -= 1;
                self.members.remove(id);
            }
            Fact::Message(_, message) => {
                self.messages.insert((message.channel_id, message.id), message.content.clone());
                return sense(self.channels.contains_key(&message.channel_id));
            }
            Fact::MessageDelete(channel, id) => {
                self.messages.remove(&(*channel, *id));
                return sense(self.channels.contains_key(channel));
            }
            Fact::MessageDeleteBulk(channel, ids) => {
                self.messages.retain(|(of, id), _| of != channel || !ids.contains(id));
                return sense(self.channels.contains_key(channel));
            }
            Fact::Typing(channel, _) | Fact::Pins(channel) => return sense(self.channels.contains_key(channel)),
            _ => {}
        }
        Ok(())
    }
}
