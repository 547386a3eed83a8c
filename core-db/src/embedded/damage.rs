//! Reads ranges around damage in the engine's table files.
//!
//! The engine checks every block it reads and fails a whole range at the first broken one. One flipped bit must not take
//! a channel's history away, so a failed range is read again in parts: up to the last row in front of the broken block,
//! and from the first key behind it. What lies between, rows of other blocks included, is reported as one stretch and
//! never guessed at: a newer version or a deletion of those rows may stand in the broken block.

use std::collections::HashSet;
use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::Slice;
use parking_lot::Mutex;
use tracing::error;
use xxhash_rust::xxh3::xxh3_64;

use super::db::{Db, Direction, is_lost_block, read_error};
use crate::StoreError;
use crate::row::hex;
use crate::tables::{Pair, Table};

/// Keys are searched as numbers of so many bytes; what tells longer ones apart behind these is one place.
const PLACE_BYTES: usize = 48;
/// Damaged places remembered, so that each is logged and counted once. Beyond these the memory starts anew, and what is
/// met again is logged and counted again: nothing goes unseen.
const KNOWN_MAX: usize = 65_536;

/// Which faults a walk goes around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Files that are not as they were written.
    OfFiles,
    /// Blocks as well that the medium does not give back just now: for those who save what can be saved.
    OfMedia,
}

/// What a walk meets.
pub enum Found {
    Row(Slice, Slice),
    Stretch(Stretch),
}

/// Keys between two, themselves excluded, that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub table: Table,
    pub from: Vec<u8>,
    pub to: Vec<u8>,
    pub reason: String,
}

impl Stretch {
    /// The keys, as errors name them.
    pub fn keys(&self) -> String {
        format!("{}..{}", hex(&self.from), hex(&self.to))
    }

    /// What a read answers that needs them.
    pub fn error(self) -> StoreError {
        StoreError::Corrupt { table: self.table.name(), key: self.keys(), reason: self.reason }
    }
}

/// Damage that was met since the database was opened.
#[derive(Debug, Default)]
pub struct KnownDamage {
    /// Hashes of tables and keys.
    places: Mutex<HashSet<u64>>,
    count: AtomicU64,
}

impl KnownDamage {
    /// Logs and counts a damaged row or stretch, once; other errors are not of damage.
    pub fn note(&self, error: &StoreError) {
        let StoreError::Corrupt { table, key, reason } = error else { return };
        let mut places = self.places.lock();
        if places.len() >= KNOWN_MAX {
            places.clear();
        }
        if !places.insert(xxh3_64(format!("{table} {key}").as_bytes())) {
            return;
        }
        drop(places);
        error!(table, key, reason, "a damaged row");
        self.count.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("rookery_store_corrupt_rows_total", "table" => *table).increment(1);
    }

    /// Rows and stretches so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Db {
    /// Shows rows of a range, and the stretches in it that cannot be read, until the visitor has enough.
    ///
    /// `limit` is about how many rows the visitor will want.
    pub fn walk(
        &self,
        table: Table,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
        limit: usize,
        faults: Faults,
        mut visit: impl FnMut(Found) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let (mut from, mut to) = (owned(range.0), owned(range.1));
        loop {
            let mut last = None;
            let Err(error) =
                self.read_range((table, faults), (borrowed(&from), borrowed(&to)), direction, &mut |key, row| {
                    last = Some(key.clone());
                    visit(Found::Row(key, row))
                })?
            else {
                return Ok(());
            };
            if let Some(last) = last {
                *near_end(&mut from, &mut to, direction) = Bound::Excluded(last.to_vec());
            }
            let (rows, stretch) = self.isolate((table, faults), (&from, &to), direction, limit, &error)?;
            for (key, row) in rows {
                *near_end(&mut from, &mut to, direction) = Bound::Excluded(key.to_vec());
                if visit(Found::Row(key, row))?.is_break() {
                    return Ok(());
                }
            }
            // There were enough rows in front of the damage.
            let Some((stretch, next)) = stretch else { continue };
            if visit(Found::Stretch(stretch))?.is_break() {
                return Ok(());
            }
            let Some(next) = next else { return Ok(()) };
            *near_end(&mut from, &mut to, direction) = Bound::Included(next);
        }
    }

    /// Reads a range until the visitor has enough; the inner error is damage, the outer one anything else.
    fn read_range(
        &self,
        (table, faults): (Table, Faults),
        range: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
        visit: &mut dyn FnMut(Slice, Slice) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<Result<(), String>, StoreError> {
        let rows = self.tree(table).range::<&[u8], _>(range);
        let mut read = |guard: fjall::Guard| match guard.into_inner() {
            Ok((key, row)) => Ok(Ok(visit(key, row)?)),
            Err(error) if faults == Faults::OfMedia && is_lost_block(&error) => Ok(Err(error.to_string())),
            Err(error) => match read_error(table, &[], &error) {
                StoreError::Corrupt { reason, .. } => Ok(Err(reason)),
                other => Err(other),
            },
        };
        let mut rows: Box<dyn Iterator<Item = fjall::Guard>> = match direction {
            Direction::Forward => Box::new(rows),
            Direction::Backward => Box::new(rows.rev()),
        };
        loop {
            let Some(guard) = rows.next() else { return Ok(Ok(())) };
            match read(guard)? {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(Ok(())),
                Err(reason) => return Ok(Err(reason)),
            }
        }
    }

    /// Rows of a range that can be read up to some place; none if damage is met on the way.
    fn readable(
        &self,
        of: (Table, Faults),
        range: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
        limit: usize,
    ) -> Result<Option<Vec<Pair>>, StoreError> {
        let mut rows = Vec::new();
        let outcome = self.read_range(of, range, direction, &mut |key, row| {
            rows.push((key, row));
            Ok(if rows.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(outcome.ok().map(|()| rows))
    }

    /// Finds the damage that is met first in a range: the rows in front of it, and where it begins and ends.
    #[allow(clippy::type_complexity, reason = "used once")]
    fn isolate(
        &self,
        of: (Table, Faults),
        (from, to): (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
        direction: Direction,
        limit: usize,
        reason: &str,
    ) -> Result<(Vec<Pair>, Option<(Stretch, Option<Vec<u8>>)>), StoreError> {
        let near_key = match direction {
            Direction::Forward => bytes(from),
            Direction::Backward => bytes(to),
        };
        let shortest = near_key.map_or(1, <[u8]>::len);
        let (low, high) = (Place::of(bytes(from).unwrap_or(&[])), bytes(to).map_or(Place::MAX, Place::of));
        let near = |place: &Place, limit: usize| {
            let key = place.key(shortest);
            let range = match direction {
                Direction::Forward => (borrowed(from), Bound::Included(&key[..])),
                Direction::Backward => (Bound::Included(&key[..]), borrowed(to)),
            };
            if is_empty(range) { Ok(Some(Vec::new())) } else { self.readable(of, range, direction, limit) }
        };
        // What can be read in front of the damage ends at the last place up to which reading succeeds.
        let (mut good, mut bad) = match direction {
            Direction::Forward => (low, high),
            Direction::Backward => (high, low),
        };
        let mut rows = Vec::new();
        while let Some(middle) = good.between(&bad) {
            match near(&middle, limit)? {
                Some(found) => {
                    good = middle;
                    rows = found;
                    if rows.len() >= limit {
                        return Ok((rows, None));
                    }
                }
                None => bad = middle,
            }
        }
        let begin = good.key(shortest);
        let next = self.behind(of, bad, direction, (&low, &high))?;
        let end = next.clone().unwrap_or_else(|| match direction {
            Direction::Forward => high.key(shortest),
            Direction::Backward => low.key(shortest),
        });
        let (from, to) = match direction {
            Direction::Forward => (begin, end),
            Direction::Backward => (end, begin),
        };
        Ok((rows, Some((Stretch { table: of.0, from, to, reason: reason.to_owned() }, next))))
    }

    /// The first place behind damage; none if the range ends before.
    fn behind(
        &self,
        of: (Table, Faults),
        begin: Place,
        direction: Direction,
        (low, high): (&Place, &Place),
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let is_good = |place: &Place| {
            let key = place.key(1);
            let range = (Bound::Included(&key[..]), Bound::Included(&key[..]));
            Ok::<_, StoreError>(self.readable(of, range, Direction::Forward, 1)?.is_some())
        };
        // In growing steps, so that other damage farther away does not count as this one.
        let mut bad = begin;
        for bit in 0..PLACE_BYTES * 8 {
            let Some(mut good) = begin.moved(bit, direction) else { return Ok(None) };
            if !(*low..=*high).contains(&good) {
                return Ok(None);
            }
            if !is_good(&good)? {
                bad = good;
                continue;
            }
            while let Some(middle) = bad.between(&good) {
                if is_good(&middle)? { good = middle } else { bad = middle }
            }
            return Ok(Some(good.key(1)));
        }
        Ok(None)
    }
}

fn near_end<'a>(
    from: &'a mut Bound<Vec<u8>>,
    to: &'a mut Bound<Vec<u8>>,
    direction: Direction,
) -> &'a mut Bound<Vec<u8>> {
    match direction {
        Direction::Forward => from,
        Direction::Backward => to,
    }
}

fn owned(bound: Bound<&[u8]>) -> Bound<Vec<u8>> {
    bound.map(<[u8]>::to_vec)
}

fn borrowed(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

fn bytes(bound: &Bound<Vec<u8>>) -> Option<&[u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}

/// Whether a range holds no key; the engine asserts that it gets none such.
fn is_empty(range: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match range {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
        _ => false,
    }
}

/// A key as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place([u8; PLACE_BYTES]);

impl Place {
    const MAX: Self = Self([u8::MAX; PLACE_BYTES]);

    fn of(key: &[u8]) -> Self {
        let mut place = [0; PLACE_BYTES];
        let length = key.len().min(PLACE_BYTES);
        place[..length].copy_from_slice(&key[..length]);
        Self(place)
    }

    /// The key: zeros at its end stand for bytes that it does not have, unless it would be shorter than others are.
    fn key(&self, shortest: usize) -> Vec<u8> {
        let end = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.0[..end.max(shortest.min(PLACE_BYTES))].to_vec()
    }

    /// The place in the middle of two; none if they are neighbours.
    fn between(&self, other: &Self) -> Option<Self> {
        let (mut sum, mut carry) = ([0; PLACE_BYTES], 0_u16);
        for index in (0..PLACE_BYTES).rev() {
            let digit = u16::from(self.0[index]) + u16::from(other.0[index]) + carry;
            sum[index] = digit as u8;
            carry = digit >> 8;
        }
        for byte in &mut sum {
            let digit = carry << 8 | u16::from(*byte);
            *byte = (digit >> 1) as u8;
            carry = digit & 1;
        }
        let middle = Self(sum);
        (middle != *self && middle != *other).then_some(middle)
    }

    /// The place 2^bit farther on; none beyond the ends.
    fn moved(&self, bit: usize, direction: Direction) -> Option<Self> {
        let mut place = self.0;
        let (mut index, mut amount) = (PLACE_BYTES - 1 - bit / 8, 1_u16 << (bit % 8));
        loop {
            let digit = u16::from(place[index]);
            let (digit, carry) = match direction {
                Direction::Forward => ((digit + amount) as u8, digit + amount > 0xff),
                Direction::Backward => (digit.wrapping_sub(amount) as u8, digit < amount),
            };
            place[index] = digit;
            if !carry {
                return Some(Self(place));
            }
            amount = 1;
            index = index.checked_sub(1)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_halved_and_moved() {
        let (low, high) = (Place::of(&[0, 0xff]), Place::of(&[1, 1]));
        assert_eq!(low.between(&high).unwrap(), Place::of(&[1]));
        assert_eq!(high.between(&low).unwrap(), Place::of(&[1]));
        assert!(Place::MAX.between(&Place::of(&[0xff])).unwrap() > Place::of(&[0xff]));
        assert_eq!(low.between(&low), None);
        let next = low.moved(0, Direction::Forward).unwrap();
        assert_eq!(next.between(&low), None);
        assert_eq!(next.moved(0, Direction::Backward), Some(low));
        let far = low.moved((PLACE_BYTES - 2) * 8, Direction::Forward).unwrap();
        assert_eq!(far.key(1), [1]);
        assert_eq!(Place::MAX.moved(3, Direction::Forward), None);
        assert_eq!(Place::of(&[]).moved(0, Direction::Backward), None);
    }

    #[test]
    fn keys_keep_their_length() {
        assert_eq!(Place::of(&[1, 2, 0]).key(3), [1, 2, 0]);
        assert_eq!(Place::of(&[1, 2]).key(1), [1, 2]);
    }
}
