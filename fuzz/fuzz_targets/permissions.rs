//! The permission computation against a second one.
//!
//! The second one decides each bit by itself, in the order of "Permission Overwrites" of the API's documentation, with
//! lists of booleans in place of masks.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use rookery_model::channel::{Overwrite, OverwriteType};
use rookery_model::permissions::{base_permissions, channel_permissions};
use rookery_model::role::Role;
use rookery_model::{GuildId, Permissions, RoleId, Snowflake, Timestamp, UserId};

const GUILD: u64 = 1;
const USER: u64 = 2;

#[derive(Arbitrary, Debug)]
struct Input {
    user_owns_the_guild: bool,
    everyone: u64,
    /// Id and permissions of each role; ids from 1, the guild's own included.
    roles: Vec<(u8, u64)>,
    /// Which of the roles the member has.
    has: Vec<bool>,
    overwrites: Vec<InputOverwrite>,
    timed_out_until: Option<i8>,
    now: i8,
}

#[derive(Arbitrary, Debug)]
struct InputOverwrite {
    id: u8,
    for_member: bool,
    allow: u64,
    deny: u64,
}

fn bit(mask: u64, n: u32) -> bool {
    (mask >> n) & 1 == 1
}

fn role(id: u8, permissions: u64) -> Role {
    let role = serde_json::json!({"id": id.to_string(), "name": "", "color": 0, "hoist": false, "position": 0,
        "permissions": permissions.to_string(), "managed": false, "mentionable": false});
    serde_json::from_value(role).expect("a role")
}

/// The bits that the API names, by number.
fn is_named(n: u32) -> bool {
    n <= 46 || (48..=52).contains(&n)
}

/// Whether one permission is there, other permissions aside.
fn plain_bit(input: &Input, held: &[(u8, u64)], n: u32) -> bool {
    let in_guild = |n: u32| bit(input.everyone, n) || held.iter().any(|(_, p)| bit(*p, n));
    if input.user_owns_the_guild {
        return is_named(n);
    }
    if in_guild(3) {
        return is_named(n) || in_guild(n);
    }
    let mut allowed = in_guild(n);
    let decide = |allowed: bool, overwrites: &[&InputOverwrite]| {
        let denied = overwrites.iter().any(|o| bit(o.deny, n));
        let granted = overwrites.iter().any(|o| bit(o.allow, n));
        if granted {
            true
        } else if denied {
            false
        } else {
            allowed
        }
    };
    let which = |wanted: &dyn Fn(&InputOverwrite) -> bool| -> Vec<&InputOverwrite> {
        input.overwrites.iter().filter(|o| wanted(o)).collect()
    };
    let is_everyone = |o: &InputOverwrite| !o.for_member && u64::from(o.id) == GUILD;
    let of_roles = |o: &InputOverwrite| !o.for_member && !is_everyone(o) && held.iter().any(|(id, _)| *id == o.id);
    allowed = decide(allowed, &which(&is_everyone));
    allowed = decide(allowed, &which(&of_roles));
    allowed = decide(allowed, &which(&|o| o.for_member && u64::from(o.id) == USER));
    allowed && n != 3
}

fn plain(input: &Input, held: &[(u8, u64)]) -> u64 {
    let mut bits: Vec<bool> = (0..64).map(|n| plain_bit(input, held, n)).collect();
    let all_powerful = input.user_owns_the_guild || bit(input.everyone, 3) || held.iter().any(|(_, p)| bit(*p, 3));
    if !all_powerful {
        const VIEW_CHANNEL: usize = 10;
        const SEND_MESSAGES: usize = 11;
        const READ_MESSAGE_HISTORY: usize = 16;
        if input.timed_out_until.is_some_and(|until| i16::from(until) > i16::from(input.now)) {
            for (n, bit) in bits.iter_mut().enumerate() {
                *bit = *bit && (n == VIEW_CHANNEL || n == READ_MESSAGE_HISTORY);
            }
        }
        if !bits[SEND_MESSAGES] {
            // Mention everyone, text to speech, files, embeds.
            [17, 12, 15, 14].into_iter().for_each(|n: usize| bits[n] = false);
        }
        if !bits[VIEW_CHANNEL] {
            bits.fill(false);
        }
    }
    bits.iter().enumerate().filter(|(_, set)| **set).map(|(n, _)| 1u64 << n).sum()
}

fuzz_target!(|input: Input| {
    let mut input = input;
    // A channel has one overwrite for each role or member, a guild one role for each id.
    let mut seen = std::collections::HashSet::new();
    input.overwrites.retain(|o| seen.insert((o.for_member, o.id)));
    let mut seen = std::collections::HashSet::new();
    input.roles.retain(|(id, _)| u64::from(*id) != GUILD && seen.insert(*id));
    let held: Vec<(u8, u64)> =
        input.roles.iter().zip(&input.has).filter(|(_, has)| **has).map(|(role, _)| *role).collect();

    let roles: Vec<Role> = held.iter().map(|(id, p)| role(*id, *p)).collect();
    let overwrites: Vec<Overwrite> = input
        .overwrites
        .iter()
        .map(|o| Overwrite {
            id: Snowflake(o.id.into()),
            kind: if o.for_member { OverwriteType::Member } else { OverwriteType::Role },
            allow: Permissions::from_bits_retain(o.allow),
            deny: Permissions::from_bits_retain(o.deny),
        })
        .collect();
    let owner = UserId::new(if input.user_owns_the_guild { USER } else { 99 });
    let everyone = Permissions::from_bits_retain(input.everyone);
    let base = base_permissions(owner, UserId::new(USER), everyone, &roles);
    let role_ids: Vec<RoleId> = roles.iter().map(|r| r.id).collect();
    let computed = channel_permissions(
        base,
        GuildId::new(GUILD),
        UserId::new(USER),
        &role_ids,
        &overwrites,
        input.timed_out_until.map(|t| Timestamp(t.into())),
        Timestamp(input.now.into()),
    );
    assert_eq!(computed.bits(), plain(&input, &held), "{input:?}");
});
