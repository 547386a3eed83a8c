//! Waiting for conditions that nothing tells about.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::interrupt::Interrupt;

/// How often they are looked at.
const PACE: Duration = Duration::from_millis(50);

/// Looks until it is true; whether that was so within the limit. Ends with an error when the user wants it to.
pub(crate) fn until(limit: Duration, interrupt: &Interrupt, mut is_true: impl FnMut() -> Result<bool>) -> Result<bool> {
    let start = Instant::now();
    loop {
        if is_true()? {
            return Ok(true);
        }
        if start.elapsed() >= limit {
            return Ok(false);
        }
        interrupt.check_after(PACE)?;
    }
}
