//! An allocator that counts, for tests of what things cost in memory.
//!
//! ```
//! use rookery_test_allocations::{CountingAllocator, of_thread};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! let before = of_thread();
//! let boxed = Box::new([0_u8; 100]);
//! let spent = of_thread() - before;
//! assert_eq!((spent.allocations, spent.in_use_bytes()), (1, 100));
//! drop(boxed);
//! assert_eq!((of_thread() - before).in_use_bytes(), 0);
//! ```

// An allocator is unsafe by its trait.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Sub;
use std::sync::atomic::{AtomicUsize, Ordering};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static ALLOCATED_BYTES: AtomicUsize = AtomicUsize::new(0);
static FREED_BYTES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OF_THREAD: Cell<Counts> = const { Cell::new(Counts { allocations: 0, allocated_bytes: 0, freed_bytes: 0 }) };
}

/// What was allocated up to a moment, or between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// What grows counts as a new one.
    pub allocations: usize,
    /// In all, whatever became of it.
    pub allocated_bytes: usize,
    pub freed_bytes: usize,
}

impl Counts {
    /// What is there; less than nothing where more was freed.
    #[must_use]
    pub const fn in_use_bytes(&self) -> isize {
        self.allocated_bytes.cast_signed() - self.freed_bytes.cast_signed()
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            allocations: self.allocations - before.allocations,
            allocated_bytes: self.allocated_bytes - before.allocated_bytes,
            freed_bytes: self.freed_bytes - before.freed_bytes,
        }
    }
}

/// Of all threads.
#[must_use]
pub fn of_process() -> Counts {
    Counts {
        allocations: ALLOCATIONS.load(Ordering::Relaxed),
        allocated_bytes: ALLOCATED_BYTES.load(Ordering::Relaxed),
        freed_bytes: FREED_BYTES.load(Ordering::Relaxed),
    }
}

/// Of the calling thread, so that tests beside it do not count.
#[must_use]
pub fn of_thread() -> Counts {
    OF_THREAD.get()
}

/// The system's allocator, counted.
pub struct CountingAllocator;

fn note(change: impl Fn(&mut Counts)) {
    // A thread that ends has no counts any more.
    let _ = OF_THREAD.try_with(|counts| {
        let mut now = counts.get();
        change(&mut now);
        counts.set(now);
    });
}

// SAFETY: every call goes to the system's allocator with the arguments it came with; counting allocates nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let bytes = layout.size();
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        ALLOCATED_BYTES.fetch_add(bytes, Ordering::Relaxed);
        note(|counts| {
            counts.allocations += 1;
            counts.allocated_bytes += bytes;
        });
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let bytes = layout.size();
        FREED_BYTES.fetch_add(bytes, Ordering::Relaxed);
        note(|counts| counts.freed_bytes += bytes);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
