//! Mentions in the content of messages.

use std::collections::BTreeSet;

use rookery_model::channel::Channel;
use rookery_model::message::{AllowedMentions, MessageRow};
use rookery_model::{Permissions, RoleId, Snowflake, Timestamp, UserId};

use crate::state::{GuildCore, GuildSpace, Space};

/// Users that one message may mention; content of 2,000 characters could name more.
const MENTIONED_USERS_MAX: usize = 100;

/// What a content names, in order of appearance, each once; code blocks are not told apart, as with the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    pub users: Vec<UserId>,
    pub roles: Vec<RoleId>,
    pub everyone: bool,
    pub here: bool,
}

impl Mentions {
    /// Reads `<@id>`, `<@!id>`, `<@&id>`, `@everyone` and `@here`.
    pub fn parse(content: &str) -> Self {
        let mut found =
            Self { everyone: content.contains("@everyone"), here: content.contains("@here"), ..Self::default() };
        for (at, _) in content.match_indices("<@") {
            let rest = &content[at + 2..];
            let (is_role, rest) = match rest.strip_prefix('&') {
                Some(rest) => (true, rest),
                None => (false, rest.strip_prefix('!').unwrap_or(rest)),
            };
            let Some(id) = rest.split_once('>').and_then(|(digits, _)| digits.parse::<Snowflake>().ok()) else {
                continue;
            };
            if is_role {
                push_new(&mut found.roles, RoleId(id));
            } else if found.users.len() < MENTIONED_USERS_MAX {
                push_new(&mut found.users, UserId(id));
            }
        }
        found
    }

    /// Keeps what the author lets notify.
    pub fn allow(&mut self, allowed: Option<&AllowedMentions>) {
        let Some(allowed) = allowed else { return };
        if !allowed.parse_users {
            self.users.retain(|id| allowed.users.contains(id));
        }
        if !allowed.parse_roles {
            self.roles.retain(|id| allowed.roles.contains(id));
        }
        self.everyone &= allowed.parse_everyone;
        self.here &= allowed.parse_everyone;
    }

    /// Keeps what the author may mention: roles that are open to it or by MENTION_EVERYONE, everyone only by that.
    pub(crate) fn permit(&mut self, guild: Option<&GuildSpace>, permissions: Permissions) {
        let may_all = permissions.contains(Permissions::MENTION_EVERYONE);
        self.roles.retain(|id| {
            guild
                .filter(|guild| *id != RoleId::from(guild.id()))
                .and_then(|guild| guild.roles().get(id))
                .is_some_and(|role| role.mentionable || may_all)
        });
        self.everyone &= may_all && guild.is_some();
        self.here &= may_all && guild.is_some();
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

impl GuildCore {
    /// Whose read states a new message counts in: those mentioned who may read it, and in DMs all others. Never bots, which
    /// have no read states, nor the author.
    pub(crate) fn notified(&self, now: Timestamp, row: &MessageRow, mentions: &Mentions) -> Vec<UserId> {
        let guild = match &self.space {
            Space::Dm(dm) => {
                let others = dm.users.iter().filter(|user| user.id != row.author_id && !user.bot);
                return others.map(|user| user.id).collect();
            }
            Space::Guild(guild) => guild,
        };
        let Some(channel) = guild.channels().get(&row.channel_id) else { return Vec::new() };
        let mut named: BTreeSet<UserId> = row.mention_users.iter().copied().collect();
        if mentions.here {
            named.extend(self.subscribers.users());
        }
        if mentions.everyone || !mentions.roles.is_empty() {
            let is_meant = |id: UserId| {
                mentions.everyone
                    || guild.members().get(id).is_some_and(|m| m.row.roles.iter().any(|r| mentions.roles.contains(r)))
            };
            if guild.members().len() <= self.limits.mention_fan_out_max {
                named.extend(guild.members().iter().map(|m| m.row.user_id).filter(|id| is_meant(*id)));
            } else {
                named.extend(self.subscribers.users().filter(|id| is_meant(*id)));
            }
        }
        named.into_iter().filter(|id| *id != row.author_id && is_notifiable(guild, now, channel, *id)).collect()
    }
}

fn is_notifiable(guild: &GuildSpace, now: Timestamp, channel: &Channel, id: UserId) -> bool {
    guild.members().get(id).is_some_and(|member| !member.user.bot) && guild.can_read(now, id, channel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_found_once_and_in_order() {
        let found = Mentions::parse("<@2> <@!1> <@2> <@&7> `<@3>` <@> <@x> <@12 > <#5> @everyone");
        assert_eq!(found.users, [2, 1, 3].map(UserId::new));
        assert_eq!(found.roles, [RoleId::new(7)]);
        assert!(found.everyone && !found.here);
    }

    #[test]
    fn broken_mentions_and_wide_characters_do_no_harm() {
        for text in ["<@", "<@!", "<@&", "<@é>", "<@<@5>", "<@99999999999999999999>", "é<@é", "<@&>@her"] {
            let found = Mentions::parse(text);
            assert_eq!(found.users, if text == "<@<@5>" { vec![UserId::new(5)] } else { vec![] }, "{text}");
            assert!(found.roles.is_empty() && !found.here);
        }
    }

    #[test]
    fn allowed_mentions_narrow() {
        let mut found = Mentions::parse("<@1> <@2> <@&3> @here");
        let allowed = AllowedMentions { users: vec![UserId::new(2)], parse_roles: true, ..AllowedMentions::default() };
        found.allow(Some(&allowed));
        assert_eq!((found.users, found.roles, found.here), (vec![UserId::new(2)], vec![RoleId::new(3)], false));
    }
}
