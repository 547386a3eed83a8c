//! The member list as a pure structure: a client that carries the operations out always holds the true slice.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use rookery_guild::member_list::{Item, MemberList, Op, Spans};
use rookery_model::gateway::{MemberGroup, MemberGroupId};
use rookery_model::{RoleId, UserId};

const GROUPS: [MemberGroupId; 4] = [
    MemberGroupId::Role(RoleId::new(20)),
    MemberGroupId::Role(RoleId::new(10)),
    MemberGroupId::Online,
    MemberGroupId::Offline,
];

/// A client's list by position; what it does not know is none.
pub struct Client<T> {
    items: Vec<Option<T>>,
    /// Whether an item behind the end goes to the end, as JavaScript's `splice` has it.
    splices: bool,
    is_fresh: bool,
}

impl<T> Default for Client<T> {
    fn default() -> Self {
        Self { items: Vec::new(), splices: true, is_fresh: true }
    }
}

impl<T: Clone> Client<T> {
    fn set(&mut self, index: u32, item: Option<T>) {
        self.is_fresh = true;
        let index = index as usize;
        if self.items.len() <= index {
            self.items.resize(index + 1, None);
        }
        self.items[index] = item;
    }
    /// Whether something came since the last [`Client::age`].
    pub fn is_fresh(&self) -> bool {
        self.is_fresh
    }
    pub fn age(&mut self) {
        self.is_fresh = false;
    }
    pub fn sync(&mut self, [first, last]: [u32; 2], items: &[T]) {
        assert!(items.len() <= (last - first) as usize + 1);
        for index in first..=last {
            self.set(index, items.get((index - first) as usize).cloned());
        }
    }
    pub fn insert(&mut self, index: u32, item: T) {
        let index = index as usize;
        self.is_fresh = true;
        if self.items.len() < index && !self.splices {
            self.items.resize(index, None);
        }
        self.items.insert(index.min(self.items.len()), Some(item));
    }
    pub fn update(&mut self, index: u32, item: T) {
        assert!(self.get(index).is_some(), "an update of what the client does not know");
        self.set(index, Some(item));
    }
    pub fn delete(&mut self, index: u32) {
        self.is_fresh = true;
        if (index as usize) < self.items.len() {
            self.items.remove(index as usize);
        }
    }
    pub fn invalidate(&mut self, [first, last]: [u32; 2]) {
        for index in first..=last.min(self.items.len() as u32) {
            self.set(index, None);
        }
    }
    pub fn get(&self, index: u32) -> Option<&T> {
        self.items.get(index as usize).and_then(Option::as_ref)
    }
}

impl Client<Item> {
    fn take(&mut self, op: Op) {
        match op {
            Op::Sync { range, items } => self.sync(range, &items),
            Op::Insert { index, item } => self.insert(index, item),
            Op::Update { index, item } => self.update(index, item),
            Op::Delete { index } => self.delete(index),
            Op::Invalidate { range } => self.invalidate(range),
        }
    }
}

/// The list as anybody would write it down.
fn written_down(members: &BTreeMap<u64, (usize, String)>) -> Vec<Item> {
    let mut items = Vec::new();
    for (index, id) in GROUPS.into_iter().enumerate() {
        let mut of_group: Vec<(&str, u64)> = members
            .iter()
            .filter(|(_, (group, _))| *group == index)
            .map(|(id, (_, name))| (name.as_str(), *id))
            .collect();
        of_group.sort_unstable();
        if !of_group.is_empty() {
            items.push(Item::Group(MemberGroup { id, count: of_group.len() as u32 }));
        }
        items.extend(of_group.into_iter().map(|(_, id)| Item::Member(UserId::new(id))));
    }
    items
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]{1,2}", "[a-b]{8,10}", Just("é".to_owned())]
}

/// Where a member goes: a group and a name, or out.
fn step() -> impl Strategy<Value = (u64, Option<(usize, String)>)> {
    (1_u64..24, prop_oneof![1 => Just(None), 4 => (0..GROUPS.len(), name()).prop_map(Some)])
}

fn spans() -> impl Strategy<Value = Spans> {
    proptest::collection::vec((0_u32..24, 0_u32..8), 0..4)
        .prop_map(|ranges| Spans::new(ranges.into_iter().map(|(first, more)| [first, first + more])))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn clients_hold_the_true_slice_at_every_moment(
        start in proptest::collection::vec(step(), 0..24),
        watched in proptest::collection::vec(spans(), 1..4),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut members: BTreeMap<u64, (usize, String)> = BTreeMap::new();
        for (id, place) in start {
            place.map(|place| members.insert(id, place));
        }
        let of = |(id, (group, name)): (&u64, &(usize, String))| {
            (UserId::new(*id), GROUPS[*group], Arc::<str>::from(name.as_str()))
        };
        let mut list = MemberList::new(GROUPS, members.iter().map(of));
        let watched = watched.into_iter().flat_map(|spans| [(spans.clone(), true), (spans, false)]);
        let mut clients: Vec<(Spans, Client<Item>)> = watched.map(|(spans, splices)| {
            let mut client = Client { splices, ..Client::default() };
            spans.iter().for_each(|range| client.sync(range, &list.slice(range)));
            (spans, client)
        }).collect();
        for (id, place) in steps {
            let user_id = UserId::new(id);
            let known = members.contains_key(&id);
            let to = place.as_ref().map(|(group, name)| (GROUPS[*group], Arc::<str>::from(name.as_str())));
            match place.clone() {
                Some(place) => drop(members.insert(id, place)),
                None => drop(members.remove(&id)),
            }
            let change = list.put(user_id, to);
            prop_assert_eq!(change.is_some(), known || place.is_some());
            let truth = written_down(&members);
            prop_assert_eq!(list.len() as usize, truth.len());
            prop_assert_eq!(&list.slice([0, u32::MAX]), &truth);
            prop_assert_eq!(list.position(user_id), truth.iter().position(|item| *item == Item::Member(user_id)).map(|i| i as u32));
            for (spans, client) in &mut clients {
                let ops = change.as_ref().map(|change| change.ops(&list, spans)).unwrap_or_default();
                prop_assert!(ops.len() <= 6 + 2 * spans.iter().count(), "{:?}", ops);
                ops.into_iter().for_each(|op| client.take(op));
                for index in 0..40 {
                    prop_assert_eq!(list.get(index), truth.get(index as usize).copied());
                    if spans.contains(index) && index < list.len() {
                        prop_assert_eq!(client.get(index), truth.get(index as usize), "at {} of {:?}", index, spans);
                    }
                }
            }
        }
        let online: usize = members.values().filter(|(group, _)| GROUPS[*group] != MemberGroupId::Offline).count();
        prop_assert_eq!(list.online_count() as usize, online);
    }
}

fn everyone(names: &[&str]) -> MemberList {
    let members =
        names.iter().enumerate().map(|(id, name)| (UserId::new(id as u64), MemberGroupId::Online, (*name).into()));
    MemberList::new(GROUPS, members)
}

#[test]
fn a_status_within_a_group_is_one_update_and_a_change_out_of_sight_is_nothing() {
    let mut list = everyone(&["a", "b", "c", "d"]);
    let top = Spans::new([[0, 2]]);
    let put = |list: &mut MemberList, id, name: &str| {
        list.put(UserId::new(id), Some((MemberGroupId::Online, name.into()))).expect("a change")
    };
    let change = put(&mut list, 1, "b");
    assert_eq!(change.ops(&list, &top), [Op::Update { index: 2, item: Item::Member(UserId::new(1)) }]);
    assert!(!change.counts_changed);
    assert!(put(&mut list, 3, "e").ops(&list, &top).is_empty());
    // A new name that leaves the member where it is.
    assert_eq!(put(&mut list, 0, "aa").ops(&list, &top), [Op::Update { index: 1, item: Item::Member(UserId::new(0)) }]);
}

#[test]
fn who_comes_pushes_the_others_down_and_who_goes_lets_the_next_up() {
    let mut list = everyone(&["b", "c", "d"]);
    let top = Spans::new([[0, 2]]);
    let count = |count| Item::Group(MemberGroup { id: MemberGroupId::Online, count });
    let joined = list.put(UserId::new(9), Some((MemberGroupId::Online, "a".into()))).expect("a change");
    assert_eq!(
        joined.ops(&list, &top),
        [Op::Insert { index: 1, item: Item::Member(UserId::new(9)) }, Op::Update { index: 0, item: count(4) }]
    );
    let left = list.put(UserId::new(9), None).expect("a change");
    let next = Op::Sync { range: [2, 2], items: vec![Item::Member(UserId::new(1))] };
    assert_eq!(left.ops(&list, &top), [Op::Delete { index: 1 }, Op::Update { index: 0, item: count(3) }, next]);
}

#[test]
fn ranks_hold_over_many_nodes() {
    let name = |n: u64| -> Arc<str> { format!("{:05}", n * 7_919 % 100_003).into() };
    let mut truth: BTreeMap<(Arc<str>, u64), ()> = (0..5_000).map(|id| ((name(id), id), ())).collect();
    let members = (0..5_000).map(|id| (UserId::new(id), MemberGroupId::Online, name(id)));
    let mut list = MemberList::new(GROUPS, members);
    for round in 0..6_000_u64 {
        let id = round * 31 % 5_000;
        truth.remove(&(name(id), id));
        list.put(UserId::new(id), None);
        if round % 3 == 0 {
            truth.insert((name(id), id), ());
            list.put(UserId::new(id), Some((MemberGroupId::Online, name(id))));
        }
    }
    let ids: Vec<UserId> = truth.keys().map(|(_, id)| UserId::new(*id)).collect();
    assert_eq!(list.len() as usize, ids.len() + 1);
    for (index, id) in ids.iter().enumerate() {
        assert_eq!(list.position(*id), Some(index as u32 + 1));
        assert_eq!(list.get(index as u32 + 1), Some(Item::Member(*id)));
    }
    let middle: Vec<Item> = ids[999..1_099].iter().copied().map(Item::Member).collect();
    assert_eq!(list.slice([1_000, 1_099]), middle);
}
