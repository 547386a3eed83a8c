//! CPU of a change of a member list that sessions look at: in a guild of a million members, a hundred thousand online.
//!
//! In process and over the structure alone: what a change moves, and the operations for every set of ranges that is
//! looked at; what is done with those per session is the fan-out's. Beside it, as the floor, the same changes in a sorted set
//! of the standard library, which knows no positions and tells nobody.

use std::collections::{BTreeSet, HashMap};
use std::hint::black_box;
use std::sync::Arc;

use anyhow::ensure;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rookery_guild::member_list::{MemberList, Op, Spans};
use rookery_model::gateway::MemberGroupId;
use rookery_model::{RoleId, UserId};
use serde_json::{Value, json};

use crate::bars::{Bar, bars};
use crate::cpu;
use crate::statistics::{median, two};

/// Members of whom one in [`ONLINE_SHARE`] is online.
const MEMBERS: u64 = 1_000_000;
const ONLINE_SHARE: u64 = 10;
const HOISTED_ROLES: u64 = 10;
/// Different sets of ranges that sessions look at: the top, and the top with a stretch further down.
const RANGE_SETS: u32 = 32;
/// CPU that a change may cost, microseconds.
const CHANGE_MAX_US: f64 = 5.0;

/// What happens to members.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Another status of those who are there.
    Status,
    /// Somebody comes, somebody goes.
    ComeAndGo,
    /// A nick.
    Nick,
    /// A hoisted role more or less.
    Role,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Status, "status_us"),
    (Kind::ComeAndGo, "come_and_go_us"),
    (Kind::Nick, "nick_us"),
    (Kind::Role, "role_us"),
];

struct Bench {
    list: MemberList,
    /// Where those who are online stand.
    online: HashMap<u64, (MemberGroupId, Arc<str>)>,
    ids: Vec<u64>,
    spans: Vec<Spans>,
    rng: ChaCha8Rng,
    plain: BTreeSet<(u32, Arc<str>, u64)>,
}

/// `changes` of each kind a round.
pub fn run(rounds: usize, changes: usize) -> anyhow::Result<Value> {
    let resident = cpu::resident_bytes(std::process::id())?;
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let online: HashMap<u64, _> = (0..MEMBERS / ONLINE_SHARE)
        .map(|n| n * ONLINE_SHARE)
        .map(|id| (id, (group(&mut rng), name(&mut rng))))
        .collect();
    let before = cpu::resident_bytes(std::process::id())?;
    let built = cpu::of_thread()?;
    let members = online.iter().map(|(id, (group, name))| (UserId::new(*id), *group, Arc::clone(name)));
    let list = MemberList::new(groups(), members);
    let built = cpu::of_thread()?.saturating_sub(built);
    let resident_after = cpu::resident_bytes(std::process::id())?;
    ensure!(list.online_count() as u64 == MEMBERS / ONLINE_SHARE, "all who are online are listed");
    let spans = (0..RANGE_SETS).map(|n| Spans::new([[0, 99], [n * 3_000, n * 3_000 + 99]])).collect();
    let mut ids: Vec<u64> = online.keys().copied().collect();
    ids.sort_unstable();
    let plain = online.iter().map(|(id, (group, name))| (rank(*group), Arc::clone(name), *id)).collect();
    let mut bench = Bench { list, online, ids, spans, rng, plain };

    let mut of_kinds: Vec<Vec<f64>> = vec![Vec::new(); KINDS.len()];
    let (mut all, mut floor, mut ops) = (Vec::new(), Vec::new(), 0_usize);
    for _ in 0..rounds {
        let mut round_us = 0.0;
        for ((kind, _), figures) in KINDS.iter().zip(&mut of_kinds) {
            let steps = bench.steps(*kind, changes);
            let started = cpu::of_thread()?;
            for (id, to) in &steps {
                ops += bench.change(*id, to.clone());
            }
            let each_us = cpu::of_thread()?.saturating_sub(started).as_secs_f64() * 1e6 / changes as f64;
            figures.push(each_us);
            round_us += each_us / KINDS.len() as f64;
            floor.push(bench.plain_changes(&steps)?);
        }
        all.push(round_us);
    }
    let change_us = median(&all);
    let worst_us = of_kinds.iter().map(median).fold(0.0, f64::max);
    let online = MEMBERS / ONLINE_SHARE;
    let mut figures = json!({
        "bench": "memberlist",
        "members": MEMBERS,
        "online": online,
        "range_sets": RANGE_SETS,
        "changes": changes * KINDS.len() * rounds,
        "operations": ops,
        "change_us": two(change_us),
        "floor_sorted_set_us": two(median(&floor)),
        "build_ms": two(built.as_secs_f64() * 1e3),
        // The names are counted as well: the list holds them.
        "bytes_a_member_online": (resident_after - before + names_bytes(before - resident, &bench)) / online,
    });
    for ((_, figure), values) in KINDS.iter().zip(&of_kinds) {
        figures[*figure] = json!(two(median(values)));
    }
    figures["bars"] = bars([
        Bar::at_most("change_us", two(change_us), CHANGE_MAX_US),
        Bar::at_most("worst_kind_us", two(worst_us), CHANGE_MAX_US),
    ]);
    Ok(figures)
}

/// Of what was allocated before the list, what the names take: not the table that only the benchmark has.
fn names_bytes(allocated: u64, bench: &Bench) -> u64 {
    let table = bench.online.capacity() * size_of::<(u64, (MemberGroupId, Arc<str>))>();
    allocated.saturating_sub(table as u64)
}

fn groups() -> Vec<MemberGroupId> {
    let roles = (1..=HOISTED_ROLES).map(|id| MemberGroupId::Role(RoleId::new(id)));
    roles.chain([MemberGroupId::Online]).collect()
}

fn rank(group: MemberGroupId) -> u32 {
    match group {
        MemberGroupId::Role(id) => u32::try_from(id.get()).unwrap_or(u32::MAX),
        MemberGroupId::Online | MemberGroupId::Offline => u32::MAX,
    }
}

/// One in twenty has a hoisted role.
fn group(rng: &mut ChaCha8Rng) -> MemberGroupId {
    match rng.random_range(0..HOISTED_ROLES * 20) {
        id @ 1..=HOISTED_ROLES => MemberGroupId::Role(RoleId::new(id)),
        _ => MemberGroupId::Online,
    }
}

/// As people have them: many begin alike.
fn name(rng: &mut ChaCha8Rng) -> Arc<str> {
    let first = ["alex", "chris", "dark_", "el", "jordan", "mr", "sam", "the_real_", "x", "zo"];
    let first = first[rng.random_range(0..first.len())];
    format!("{first}{:x}", rng.random_range(0..1_u64 << 28)).into()
}

/// A member, and where it goes; none for who goes offline.
type Step = (u64, Option<(MemberGroupId, Arc<str>)>);

impl Bench {
    /// Changes of a kind, made up beforehand: half of those who come are new, the others just left.
    fn steps(&mut self, kind: Kind, count: usize) -> Vec<Step> {
        let mut away: Vec<u64> = Vec::new();
        let mut steps = Vec::with_capacity(count);
        for n in 0..count {
            let id = self.ids[self.rng.random_range(0..self.ids.len())];
            let Some((own_group, own_name)) = self.online.get(&id).cloned() else { continue };
            let step = match kind {
                Kind::Status => (id, Some((own_group, own_name))),
                Kind::Nick => (id, Some((own_group, name(&mut self.rng)))),
                Kind::Role => (id, Some((group(&mut self.rng), own_name))),
                Kind::ComeAndGo if n % 2 == 0 && !away.contains(&id) => {
                    away.push(id);
                    (id, None)
                }
                Kind::ComeAndGo => match away.pop() {
                    Some(back) => (back, self.online.get(&back).cloned()),
                    None => (id, Some((own_group, own_name))),
                },
            };
            if let (id, Some(place)) = &step {
                self.online.insert(*id, place.clone());
            }
            steps.push(step);
        }
        let back = away.into_iter().map(|id| (id, self.online.get(&id).cloned()));
        steps.extend(back);
        steps
    }

    /// One change, and what is sent of it to every set of ranges; how many operations that were.
    fn change(&mut self, id: u64, to: Option<(MemberGroupId, Arc<str>)>) -> usize {
        let Some(change) = self.list.put(UserId::new(id), to) else { return 0 };
        let mut count = 0;
        for spans in &self.spans {
            let ops: Vec<Op> = change.ops(&self.list, spans);
            count += black_box(ops).len();
        }
        count
    }

    /// The same in a sorted set; microseconds a change.
    fn plain_changes(&mut self, steps: &[Step]) -> anyhow::Result<f64> {
        let mut places: HashMap<u64, (u32, Arc<str>, u64)> =
            self.plain.iter().map(|entry| (entry.2, entry.clone())).collect();
        let started = cpu::of_thread()?;
        for (id, to) in steps {
            if let Some(old) = places.remove(id) {
                self.plain.remove(&old);
            }
            if let Some((group, name)) = to {
                let new = (rank(*group), Arc::clone(name), *id);
                self.plain.insert(new.clone());
                places.insert(*id, new);
            }
        }
        Ok(cpu::of_thread()?.saturating_sub(started).as_secs_f64() * 1e6 / steps.len().max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_run_has_its_figures_and_leaves_everybody_where_they_are() {
        let figures = run(1, 500).expect("figures");
        assert!(figures["change_us"].as_f64().is_some_and(|us| us > 0.0));
        assert!(figures["operations"].as_u64().is_some_and(|ops| ops > 1_000));
        assert_eq!(figures["bars"].as_array().map(Vec::len), Some(2));
    }
}
