//! What users of another region are seen as here, by word of their owners there.

use std::collections::HashMap;
use std::sync::Arc;

use rookery_model::gateway::Presence;
use rookery_model::{GuildId, UserId};

use super::PeerIndex;
use crate::owners::Registers;

/// Owners of this region have lower numbers.
const FIRST_PUBLISHER: u64 = 1 << 63;

/// Those who are not offline, and whom of this region it concerns.
pub struct Seen {
    publisher: u64,
    users: HashMap<UserId, (Vec<GuildId>, Vec<UserId>)>,
}

impl Seen {
    /// Nobody of this region.
    pub fn new(index: PeerIndex) -> Self {
        Self { publisher: FIRST_PUBLISHER + u64::from(index.get()), users: HashMap::new() }
    }

    /// A user is seen as this from now on; none is offline.
    pub fn show(
        &mut self,
        registers: &Registers,
        user_id: UserId,
        presence: Option<Arc<Presence>>,
        guild_ids: Vec<GuildId>,
        friends: Vec<UserId>,
    ) {
        match presence.filter(|presence| !presence.is_offline()) {
            Some(presence) => {
                registers.show(user_id, self.publisher, &presence);
                tell(registers, user_id, &guild_ids, &friends);
                self.users.insert(user_id, (guild_ids, friends));
            }
            None => {
                registers.hide(user_id, self.publisher);
                tell(registers, user_id, &guild_ids, &friends);
                self.users.remove(&user_id);
            }
        }
    }

    /// Nobody speaks for them any more.
    pub fn clear(&mut self, registers: &Registers) {
        registers.hide_all(self.publisher);
        for (user_id, (guild_ids, friends)) in self.users.drain() {
            tell(registers, user_id, &guild_ids, &friends);
        }
    }
}

fn tell(registers: &Registers, user_id: UserId, guild_ids: &[GuildId], friends: &[UserId]) {
    for guild_id in guild_ids {
        registers.tell_guild(*guild_id, |news| news.presences.insert(user_id));
    }
    for friend in friends {
        registers.tell_user(*friend, |news| news.friends.insert(user_id));
    }
}

#[cfg(test)]
mod tests {
    use rookery_model::gateway::Status;

    use super::*;

    #[tokio::test]
    async fn who_is_seen_from_elsewhere_is_gone_with_the_way_there() {
        let registers = Registers::default();
        let (guild_id, user_id) = (GuildId::new(1), UserId::new(2));
        let register = registers.open_owner(crate::owners::OwnerKey::Guild(guild_id));
        let mut seen = Seen::new(PeerIndex(2));
        let online = Presence { status: Status::Online, ..Presence::default() };
        seen.show(&registers, user_id, Some(Arc::new(online)), vec![guild_id], vec![]);
        register.changed().await;
        assert!(register.take().presences.contains(&user_id) && registers.presence(user_id).is_some());
        seen.clear(&registers);
        register.changed().await;
        assert!(register.take().presences.contains(&user_id) && registers.presence(user_id).is_none());
    }
}
