//! A sorted set of sessions that is handed out as it is and changes by little.

use std::collections::BTreeMap;
use std::sync::Arc;

use rookery_model::gateway::SubscriberId;

/// Sessions, handed out as a shared slice. A change is kept beside it, O(log n), and worked in when the slice is wanted
/// next: so many sessions that come one after the other cost no copy each.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdSet {
    ids: Arc<[SubscriberId]>,
    /// Those that differ from `ids`: whether they are in the set.
    changed: BTreeMap<SubscriberId, bool>,
}

impl IdSet {
    pub fn new(mut ids: Vec<SubscriberId>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        Self { ids: ids.into(), changed: BTreeMap::new() }
    }

    pub fn set(&mut self, id: SubscriberId, is_in: bool) {
        if self.ids.binary_search(&id).is_ok() == is_in {
            self.changed.remove(&id);
        } else {
            self.changed.insert(id, is_in);
        }
    }

    pub fn is_empty(&self) -> bool {
        let left = self.changed.values().filter(|is_in| !**is_in).count();
        left == self.ids.len() && left == self.changed.len()
    }

    /// All of them, ascending.
    pub fn ids(&mut self) -> Arc<[SubscriberId]> {
        if !self.changed.is_empty() {
            let changed = std::mem::take(&mut self.changed);
            let mut merged = Vec::with_capacity(self.ids.len() + changed.len());
            let mut old = self.ids.iter().copied().peekable();
            for (id, is_in) in changed {
                while let Some(before) = old.next_if(|old| *old < id) {
                    merged.push(before);
                }
                old.next_if_eq(&id);
                if is_in {
                    merged.push(id);
                }
            }
            merged.extend(old);
            self.ids = merged.into();
        }
        Arc::clone(&self.ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_is_a_set() {
        let mut truth: BTreeSet<u64> = [3, 5, 8].into();
        let mut set = IdSet::new([8, 3, 5, 3].map(SubscriberId).to_vec());
        let mut state = 7_u64;
        for _ in 0..2_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (id, is_in) = (state >> 60, state >> 40 & 1 == 1);
            set.set(SubscriberId(id), is_in);
            if is_in {
                truth.insert(id)
            } else {
                truth.remove(&id)
            };
            assert_eq!(set.is_empty(), truth.is_empty());
            if state >> 33 & 7 == 0 {
                assert_eq!(
                    set.ids().iter().map(|id| id.0).collect::<Vec<_>>(),
                    truth.iter().copied().collect::<Vec<_>>()
                );
            }
        }
    }

    #[test]
    fn what_was_handed_out_stays_as_it_was() {
        let mut set = IdSet::new(vec![SubscriberId(1)]);
        let before = set.ids();
        set.set(SubscriberId(2), true);
        assert_eq!((before.len(), set.ids().len()), (1, 2));
        assert!(Arc::ptr_eq(&set.ids(), &set.ids()));
    }
}
