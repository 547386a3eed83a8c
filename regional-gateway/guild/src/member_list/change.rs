//! A change of the list, and the operations that bring a client's ranges from before it to after it.
//!
//! A client keeps items by position. INSERT and DELETE move everything behind them, also over the gaps between ranges: so
//! one of them is sent for each item that comes or goes before the end of the last range, and what moves into a range out
//! of a gap, where the client knows nothing, is written by a SYNC of that position. The list ends where the counts of its
//! groups say, which come with every change: what a client still holds behind that is void.

use rookery_model::gateway::guild_subscriptions::Range;

use super::list::{Item, MemberList};
use super::spans::Spans;

/// An operation, as [`MemberListOp`](rookery_model::gateway::MemberListOp) with ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Sync { range: Range, items: Vec<Item> },
    Insert { index: u32, item: Item },
    Update { index: u32, item: Item },
    Delete { index: u32 },
    Invalidate { range: Range },
}

/// What one step does to the list; indices are of the list as the steps before left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    Delete(u32),
    Insert(u32, Item),
    /// After all others.
    Update(u32, Item),
}

/// A change of one member: it left, it entered, it is shown anew, with what that does to headers.
#[derive(Debug)]
pub struct Change {
    edits: Vec<Edit>,
    /// The list's length before.
    old_len: u32,
    /// Whether a group's count is another.
    pub counts_changed: bool,
}

impl Change {
    pub(super) fn new(old_len: u32) -> Self {
        // A member and a header out of one group, both into another, two counts.
        Self { edits: Vec::with_capacity(6), old_len, counts_changed: false }
    }
    pub(super) fn push(&mut self, edit: Edit) {
        self.edits.push(edit);
    }
    /// A member that left its place for the same one is shown anew.
    pub(super) fn merge_if_unmoved(&mut self) {
        if let (Some(Edit::Delete(from)), Some(Edit::Insert(to, item))) = (self.edits.first(), self.edits.last())
            && from == to
        {
            self.edits = vec![Edit::Update(*to, *item)];
        }
    }
    pub(super) fn inserts(&self, item: &Item) -> bool {
        self.edits.iter().any(|edit| matches!(edit, Edit::Insert(_, inserted) if inserted == item))
    }

    /// The operations for a client that looks at these positions; `list` is the list after the change.
    pub fn ops(&self, list: &MemberList, spans: &Spans) -> Vec<Op> {
        let mut run = Run { list, spans, len: self.old_len, unknown: Vec::new(), ops: Vec::new() };
        for edit in &self.edits {
            match *edit {
                Edit::Delete(index) => run.delete(index),
                Edit::Insert(index, item) => run.insert(index, item),
                Edit::Update(index, item) => run.update(index, item),
            }
        }
        run.fill()
    }
}

/// The steps of a change as one client sees them.
struct Run<'a> {
    /// After all steps.
    list: &'a MemberList,
    spans: &'a Spans,
    /// Of the list after the steps so far.
    len: u32,
    /// Positions of which the client does not know what stands there, though it looks at them.
    unknown: Vec<u32>,
    ops: Vec<Op>,
}

impl Run<'_> {
    fn delete(&mut self, index: u32) {
        self.len -= 1;
        if self.spans.from(index).next().is_none() {
            return;
        }
        self.ops.push(Op::Delete { index });
        self.unknown.retain(|position| *position != index);
        self.unknown.iter_mut().filter(|position| **position > index).for_each(|position| *position -= 1);
        let ends = self.spans.from(index).map(|[_, last]| last).filter(|last| *last < self.len);
        self.unknown.extend(ends);
        self.unknown.retain(|position| self.spans.contains(*position));
    }

    fn insert(&mut self, index: u32, item: Item) {
        self.len += 1;
        if self.spans.from(index).next().is_none() {
            return;
        }
        self.ops.push(Op::Insert { index, item });
        self.unknown.iter_mut().filter(|position| **position >= index).for_each(|position| *position += 1);
        // At a span's start, too: where a client knows nothing before the index it may put the item elsewhere.
        let starts = self.spans.from(index).map(|[first, _]| first);
        self.unknown.extend(starts.filter(|first| *first > 0 && *first >= index && *first < self.len));
        if self.unknown.iter().any(|position| *position < index) {
            self.unknown.push(index);
        }
        self.unknown.retain(|position| self.spans.contains(*position));
    }

    fn update(&mut self, index: u32, item: Item) {
        if self.spans.contains(index) && !self.unknown.contains(&index) {
            self.ops.push(Op::Update { index, item });
        }
    }

    /// Writes the positions that became unknown.
    fn fill(mut self) -> Vec<Op> {
        self.unknown.sort_unstable();
        self.unknown.dedup();
        for index in self.unknown {
            let Some(item) = self.list.get(index) else { break };
            match self.ops.last_mut() {
                Some(Op::Sync { range: [_, last], items }) if *last + 1 == index => {
                    *last = index;
                    items.push(item);
                }
                _ => self.ops.push(Op::Sync { range: [index, index], items: vec![item] }),
            }
        }
        self.ops
    }
}
