//! Sets of virtual shards.

use std::collections::HashMap;

use rookery_model::lease::VIRTUAL_SHARDS;

use super::ShardRef;

const WORDS: usize = VIRTUAL_SHARDS as usize / 64;

/// Some of all regions' virtual shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardSet {
    /// By region; empty where the region has none in it.
    regions: Vec<Vec<u64>>,
}

impl ShardSet {
    /// Adds one.
    pub fn insert(&mut self, shard: ShardRef) {
        let region = usize::from(shard.region);
        if self.regions.len() <= region {
            self.regions.resize(region + 1, Vec::new());
        }
        let words = &mut self.regions[region];
        if words.is_empty() {
            words.resize(WORDS, 0);
        }
        words[usize::from(shard.number / 64) % WORDS] |= 1 << (shard.number % 64);
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: &Self) {
        for (region, words) in other.regions.iter().enumerate().filter(|(_, words)| !words.is_empty()) {
            if self.regions.len() <= region {
                self.regions.resize(region + 1, Vec::new());
            }
            let own = &mut self.regions[region];
            own.resize(WORDS, 0);
            own.iter_mut().zip(words).for_each(|(own, other)| *own |= other);
        }
    }

    /// Whether one is in it.
    pub fn contains(&self, shard: ShardRef) -> bool {
        let word =
            self.regions.get(usize::from(shard.region)).and_then(|words| words.get(usize::from(shard.number / 64)));
        word.is_some_and(|word| word & 1 << (shard.number % 64) != 0)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.regions.iter().flatten().all(|word| *word == 0)
    }
}

/// A shard at an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardEpoch {
    pub shard: ShardRef,
    pub epoch: u64,
    /// At which epoch it was owned before, if that is certain.
    pub predecessor: Option<u64>,
}

/// Shards that begin or end together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardEpochs(HashMap<ShardRef, ShardEpoch>);

impl ShardEpochs {
    /// One of them.
    pub fn get(&self, shard: ShardRef) -> Option<ShardEpoch> {
        self.0.get(&shard).copied()
    }

    /// All, in no order.
    pub fn iter(&self) -> impl Iterator<Item = ShardEpoch> + '_ {
        self.0.values().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<ShardEpoch> for ShardEpochs {
    fn from_iter<I: IntoIterator<Item = ShardEpoch>>(shards: I) -> Self {
        Self(shards.into_iter().map(|shard| (shard.shard, shard)).collect())
    }
}

impl FromIterator<ShardRef> for ShardSet {
    fn from_iter<I: IntoIterator<Item = ShardRef>>(shards: I) -> Self {
        let mut set = Self::default();
        shards.into_iter().for_each(|shard| set.insert(shard));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in() {
        let mut set = ShardSet::default();
        assert!(set.is_empty());
        for (region, number) in [(2, 0), (2, 4_095), (0, 64)] {
            set.insert(ShardRef { region, number });
        }
        for (region, number, is_in) in
            [(2, 0, true), (2, 4_095, true), (0, 64, true), (0, 65, false), (1, 64, false), (3, 0, false)]
        {
            assert_eq!(set.contains(ShardRef { region, number }), is_in, "{region} {number}");
        }
        assert!(!set.is_empty());
        let mut more = ShardSet::default();
        more.extend(&set);
        more.extend(&ShardSet::from_iter([ShardRef { region: 1, number: 64 }]));
        set.insert(ShardRef { region: 1, number: 64 });
        assert_eq!(more, set);
    }
}
