//! The positions that a session looks at.

use rookery_model::gateway::guild_subscriptions::Range;

/// Positions of a list as spans that neither overlap nor touch, ascending: what is between them is not kept by the client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Spans(Box<[Range]>);

impl Spans {
    /// All positions of these ranges; ranges that go backwards have none.
    pub fn new(ranges: impl IntoIterator<Item = Range>) -> Self {
        let mut ranges: Vec<Range> = ranges.into_iter().filter(|[first, last]| first <= last).collect();
        ranges.sort_unstable();
        let mut spans: Vec<Range> = Vec::with_capacity(ranges.len());
        for [first, last] in ranges {
            match spans.last_mut() {
                Some(span) if first <= span[1].saturating_add(1) => span[1] = span[1].max(last),
                _ => spans.push([first, last]),
            }
        }
        Self(spans.into())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// First and last position of each span.
    pub fn iter(&self) -> impl Iterator<Item = Range> {
        self.0.iter().copied()
    }
    /// Whether a position is looked at.
    pub fn contains(&self, index: u32) -> bool {
        self.from(index).next().is_some_and(|[first, _]| first <= index)
    }
    /// The spans that a change at a position moves: that which holds it, and those behind it.
    pub(super) fn from(&self, index: u32) -> impl Iterator<Item = Range> {
        let behind = self.0.partition_point(|[_, last]| *last < index);
        self.0.iter().skip(behind).copied()
    }

    /// What is here and not in the other, as ranges.
    pub fn without(&self, other: &Self) -> Vec<Range> {
        let mut left = Vec::new();
        for [first, last] in self.iter() {
            let mut next = Some(first);
            for [from, to] in other.from(first).take_while(|[from, _]| *from <= last) {
                if let Some(start) = next.filter(|start| *start < from) {
                    left.push([start, from - 1]);
                }
                next = to.checked_add(1).filter(|next| *next <= last);
            }
            left.extend(next.map(|start| [start, last]));
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_become_spans() {
        let spans = Spans::new([[100, 199], [0, 99], [300, 310], [305, 320], [9, 3]]);
        assert_eq!(spans.iter().collect::<Vec<_>>(), [[0, 199], [300, 320]]);
        assert!(spans.contains(0) && spans.contains(199) && !spans.contains(200) && spans.contains(300));
        assert_eq!(spans.from(200).collect::<Vec<_>>(), [[300, 320]]);
        assert_eq!(Spans::new([[u32::MAX, u32::MAX], [0, u32::MAX]]).iter().count(), 1);
    }

    #[test]
    fn what_is_no_longer_looked_at() {
        let spans = |ranges: &[Range]| Spans::new(ranges.iter().copied());
        let old = spans(&[[0, 99], [200, 399]]);
        assert_eq!(old.without(&old), Vec::<Range>::new());
        assert_eq!(old.without(&spans(&[])), [[0, 99], [200, 399]]);
        assert_eq!(old.without(&spans(&[[0, 99], [250, 260], [300, 500]])), [[200, 249], [261, 299]]);
        assert_eq!(old.without(&spans(&[[50, 220]])), [[0, 49], [221, 399]]);
    }
}
