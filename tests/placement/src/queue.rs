//! What is going to happen, in the order of virtual time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rookery_placement::{Message, OpId, Owner, StoreAnswer, StoreCall};

use crate::cells::Write;
use crate::process::Place;

/// A process, of all that ever ran.
pub type ProcessId = usize;

/// Something that happens at its time.
#[derive(Debug)]
pub enum Job {
    Timer(ProcessId),
    Deliver(ProcessId, Message),
    /// A request arrives at the store of leases; the answer takes so long, if there is one.
    Store {
        process: ProcessId,
        op: OpId,
        call: StoreCall,
        answer_ms: Option<u64>,
    },
    Answer {
        process: ProcessId,
        op: OpId,
        answer: StoreAnswer,
    },
    /// The shell has read what is stored of a shard.
    Loaded {
        process: ProcessId,
        place: Place,
        epoch: u64,
    },
    Drained {
        process: ProcessId,
        place: Place,
        epoch: u64,
    },
    /// Somebody wants to write to a shard, by way of this process.
    Client {
        entry: ProcessId,
        place: Place,
    },
    /// A call arrives at whom the entry thinks the owner.
    Call {
        entry: ProcessId,
        process: ProcessId,
        place: Place,
        tried: Owner,
    },
    Refused {
        entry: ProcessId,
        place: Place,
        tried: Owner,
        hint: Option<Owner>,
    },
    Applied(Write),
    /// The owner hears of its write, or gives up.
    Written {
        write: Write,
        is_durable: bool,
    },
    Start {
        machine: usize,
    },
    /// A process is told to end.
    Drain(ProcessId),
    /// A process is told that its region may own the shards of another one, or may no more.
    Serve {
        process: ProcessId,
        region: usize,
        is_taken: bool,
    },
    Clients,
    Watch,
    Act(usize),
    Healed(u64),
    End,
}

struct Entry<J> {
    at_ms: u64,
    number: u64,
    /// By itself: entries are moved about a lot.
    job: Box<J>,
}

impl<J> PartialEq for Entry<J> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<J> Eq for Entry<J> {}
impl<J> PartialOrd for Entry<J> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<J> Ord for Entry<J> {
    /// The heap gives its greatest: the earliest, and of two at one time the one that was put in first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ms, other.number).cmp(&(self.at_ms, self.number))
    }
}

/// All that is going to happen.
pub struct Queue<J = Job> {
    entries: BinaryHeap<Entry<J>>,
    next_number: u64,
}

impl<J> Default for Queue<J> {
    fn default() -> Self {
        Self { entries: BinaryHeap::new(), next_number: 0 }
    }
}

impl<J> Queue<J> {
    /// Lets something happen at a time.
    pub fn at(&mut self, at_ms: u64, job: J) {
        self.next_number += 1;
        self.entries.push(Entry { at_ms, number: self.next_number, job: Box::new(job) });
    }

    /// The next thing that happens.
    pub fn pop(&mut self) -> Option<(u64, J)> {
        self.entries.pop().map(|entry| (entry.at_ms, *entry.job))
    }
}

impl Queue {
    /// Whatever was to be applied late is applied by then, and whoever was to start has started.
    pub fn hasten(&mut self, by_ms: u64) {
        let entries = std::mem::take(&mut self.entries).into_vec();
        let hasten = |entry: Entry<Job>| match *entry.job {
            Job::Store { .. } | Job::Applied(_) | Job::Start { .. } => Entry { at_ms: entry.at_ms.min(by_ms), ..entry },
            _ => entry,
        };
        self.entries = entries.into_iter().map(hasten).collect();
    }
}
