//! Sequence numbers of what is left of a stream after packets were taken out of it.
//!
//! A receiver must not see that packets are missing on purpose, or it would ask for them and stop decoding. Numbers that
//! are missing because the network lost them stay missing, so that they can be asked for. [`Rewriter`] keeps runs: ranges
//! of incoming numbers that map one to one. Packets that come late find the run they belong to.

/// Runs that are remembered; half a second of a stream with temporal layers left out.
const RUNS: usize = 16;
/// Numbers of a run that a late packet may be behind.
const RUN_LENGTH_MAX: u16 = 0x2000;

/// Incoming numbers from `first` on, `length` of them, which go out under `incoming - offset`.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    first: u16,
    length: u16,
    offset: u16,
    /// Pictures left out so far, for codecs that number those too.
    pictures: u16,
}

impl Run {
    fn contains(&self, incoming: u16) -> bool {
        incoming.wrapping_sub(self.first) < self.length
    }
    /// The number behind the last one.
    fn end(&self) -> u16 {
        self.first.wrapping_add(self.length)
    }
    /// Whether it has become so long that those before it are forgotten, lest numbers that come again find them.
    fn extend_to(&mut self, incoming: u16) -> bool {
        self.length = incoming.wrapping_sub(self.first).wrapping_add(1);
        let long = self.length > 2 * RUN_LENGTH_MAX;
        if long {
            let excess = self.length - RUN_LENGTH_MAX;
            self.first = self.first.wrapping_add(excess);
            self.length = RUN_LENGTH_MAX;
        }
        long
    }
}

/// The outgoing number of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub sequence: u16,
    /// Pictures left out before it.
    pub pictures: u16,
    /// Whether a newer one went out before.
    pub late: bool,
}

/// Gives what is left of a stream numbers without gaps of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rewriter {
    runs: [Run; RUNS],
    newest: u8,
    len: u8,
    started: bool,
    /// The number that the next packet gets.
    next: u16,
}

/// Whether `a` comes after `b`, on a circle.
pub(crate) const fn newer(a: u16, b: u16) -> bool {
    a != b && a.wrapping_sub(b) < 0x8000
}

impl Rewriter {
    pub(crate) fn next(&self) -> u16 {
        self.next
    }

    pub(crate) fn is_started(&self) -> bool {
        self.started
    }

    fn current(&mut self) -> Option<&mut Run> {
        if self.len == 0 { None } else { Some(&mut self.runs[self.newest as usize]) }
    }

    /// Whether a packet of this number is newer than all that went out.
    pub(crate) fn is_ahead(&self, incoming: u16) -> bool {
        self.len == 0 || {
            let end = self.runs[self.newest as usize].end();
            incoming == end || newer(incoming, end)
        }
    }

    fn push(&mut self, run: Run) {
        self.newest = (self.newest + 1) % RUNS as u8;
        self.len = (self.len + 1).min(RUNS as u8);
        self.runs[self.newest as usize] = run;
    }

    /// Goes on with another stream, whose first packet has this number. Nothing that is late of the old one is known any more.
    pub(crate) fn switch(&mut self, first: u16) {
        self.len = 0;
        if !self.started {
            // Nothing went out yet: the stream keeps its own numbers.
            self.started = true;
            self.next = first;
        }
        self.resume(first);
    }

    /// Goes on with the same stream after a pause: what came between has no numbers.
    pub(crate) fn resume(&mut self, first: u16) {
        let pictures = self.current().map_or(0, |run| run.pictures);
        self.push(Run { first, length: 0, offset: first.wrapping_sub(self.next), pictures });
    }

    /// The number under which this packet goes out, none if it belongs to what was left out.
    pub(crate) fn accept(&mut self, incoming: u16) -> Option<Mapped> {
        if !self.is_ahead(incoming) {
            return self.find(incoming).map(|run| Mapped {
                sequence: incoming.wrapping_sub(run.offset),
                pictures: run.pictures,
                late: true,
            });
        }
        let run = self.current()?;
        let long = run.extend_to(incoming);
        let (sequence, pictures) = (incoming.wrapping_sub(run.offset), run.pictures);
        if long {
            self.len = 1;
        }
        self.next = sequence.wrapping_add(1);
        Some(Mapped { sequence, pictures, late: false })
    }

    /// Leaves this packet out, and its picture too if it is the first of one. A number comes back if one was kept free for
    /// it: the receiver misses that, and padding must fill it.
    pub(crate) fn skip(&mut self, incoming: u16, new_picture: bool) -> Option<u16> {
        if !self.is_ahead(incoming) {
            return self.find(incoming).map(|run| incoming.wrapping_sub(run.offset));
        }
        let run = self.current()?;
        // What has not come yet between them may be of those that go out.
        if run.end() != incoming {
            run.extend_to(incoming.wrapping_sub(1));
        }
        let mut following = *run;
        following.first = incoming.wrapping_add(1);
        following.offset = following.offset.wrapping_add(1);
        following.pictures = following.pictures.wrapping_add(u16::from(new_picture));
        let empty = run.length == 0;
        following.length = 0;
        let next = following.first.wrapping_sub(following.offset);
        if empty {
            *run = following;
        } else {
            self.push(following);
        }
        self.next = next;
        None
    }

    fn find(&self, incoming: u16) -> Option<&Run> {
        self.remembered().find(|run| run.contains(incoming))
    }

    /// The incoming number of what went out under this one.
    pub(crate) fn original(&self, outgoing: u16) -> Option<Mapped> {
        self.remembered().find(|run| run.contains(outgoing.wrapping_add(run.offset))).map(|run| Mapped {
            sequence: outgoing.wrapping_add(run.offset),
            pictures: run.pictures,
            late: true,
        })
    }

    /// From the newest to the oldest.
    fn remembered(&self) -> impl Iterator<Item = &Run> {
        (0..self.len).map(|age| &self.runs[(self.newest as usize + RUNS - age as usize) % RUNS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn started(first: u16) -> Rewriter {
        let mut rewriter = Rewriter::default();
        rewriter.switch(first);
        rewriter
    }

    fn out(rewriter: &mut Rewriter, incoming: u16) -> Option<u16> {
        rewriter.accept(incoming).map(|mapped| mapped.sequence)
    }

    #[test]
    fn an_untouched_stream_keeps_its_numbers() {
        let mut rewriter = started(65_534);
        assert_eq!([65_534, 65_535, 0, 1].map(|n| out(&mut rewriter, n)), [65_534, 65_535, 0, 1].map(Some));
    }

    #[test]
    fn what_the_network_lost_stays_missing_and_may_still_come() {
        let mut rewriter = started(10);
        assert_eq!([10, 13, 11].map(|n| out(&mut rewriter, n)), [10, 13, 11].map(Some));
    }

    #[test]
    fn a_pause_leaves_no_gap_and_late_packets_of_it_have_no_number() {
        let mut rewriter = started(10);
        assert_eq!([10, 11].map(|n| out(&mut rewriter, n)), [10, 11].map(Some));
        rewriter.resume(50);
        assert_eq!([50, 51].map(|n| out(&mut rewriter, n)), [12, 13].map(Some));
        assert_eq!(out(&mut rewriter, 30), None);
        assert_eq!(out(&mut rewriter, 49), None);
        assert_eq!(out(&mut rewriter, 11), Some(11), "before the pause it had a number");
    }

    #[test]
    fn skipped_packets_close_up_and_count_pictures() {
        let mut rewriter = started(10);
        assert_eq!(out(&mut rewriter, 10), Some(10));
        assert_eq!(rewriter.skip(11, true), None);
        assert_eq!(rewriter.skip(12, false), None);
        assert_eq!(rewriter.accept(13), Some(Mapped { sequence: 11, pictures: 1, late: false }));
        assert_eq!(rewriter.original(11).map(|m| m.sequence), Some(13));
        assert_eq!(rewriter.original(10).map(|m| m.sequence), Some(10));
    }

    #[test]
    fn a_number_kept_free_for_what_is_left_out_is_given_back_to_be_padded() {
        let mut rewriter = started(10);
        out(&mut rewriter, 10);
        // 11 is missing when 12 is left out: it may be for the receiver.
        assert_eq!(rewriter.skip(12, true), None);
        assert_eq!(out(&mut rewriter, 13), Some(12));
        assert_eq!(rewriter.skip(11, true), Some(11));
    }

    #[test]
    fn another_stream_goes_on_where_the_first_one_ended() {
        let mut rewriter = started(10);
        out(&mut rewriter, 10);
        rewriter.switch(40_000);
        assert_eq!([40_000, 40_001].map(|n| out(&mut rewriter, n)), [11, 12].map(Some));
    }

    #[test]
    fn a_run_of_days_still_knows_its_newest_packets() {
        let mut rewriter = started(0);
        for n in 0..200_000_u32 {
            assert_eq!(out(&mut rewriter, n as u16), Some(n as u16));
        }
        assert_eq!(out(&mut rewriter, (199_000_u32) as u16), Some(199_000_u32 as u16));
    }

    proptest! {
        /// In order, whatever is left out, those that go out are numbered one after the other.
        #[test]
        fn numbers_have_no_gaps(first: u16, kept in proptest::collection::vec(any::<(bool, bool)>(), 1..400)) {
            let mut rewriter = started(first);
            let mut expected = None;
            for (at, (keep, by_pause)) in kept.into_iter().enumerate() {
                let incoming = first.wrapping_add(at as u16);
                if keep {
                    let got = rewriter.accept(incoming).expect("in order").sequence;
                    if let Some(expected) = expected {
                        prop_assert_eq!(got, expected);
                    }
                    prop_assert_eq!(rewriter.original(got).expect("just sent").sequence, incoming);
                    expected = Some(got.wrapping_add(1));
                } else if by_pause {
                    rewriter.resume(incoming.wrapping_add(1));
                } else {
                    prop_assert_eq!(rewriter.skip(incoming, false), None);
                }
            }
        }

        /// However packets are reordered, two of them never get one number.
        #[test]
        fn no_number_is_given_twice(first: u16, mut order in Just((0..200_u16).collect::<Vec<_>>()), swaps in proptest::collection::vec((0..200_usize, 1..8_usize), 0..80), modulus in 2..7_u16) {
            for (at, by) in swaps {
                let to = (at + by).min(order.len() - 1);
                order.swap(at, to);
            }
            let mut rewriter = started(first);
            let mut given = std::collections::BTreeSet::new();
            for at in order {
                let incoming = first.wrapping_add(at);
                let number = if at % modulus == 0 { rewriter.skip(incoming, true) } else { rewriter.accept(incoming).map(|m| m.sequence) };
                if let Some(number) = number {
                    prop_assert!(given.insert(number), "{} twice", number);
                }
            }
        }
    }
}
