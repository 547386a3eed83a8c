//! CPU time and memory as the kernel counts them.

use std::time::Duration;

use anyhow::Context as _;

/// CPU time of all living threads of a process.
pub fn of_process(pid: u32) -> anyhow::Result<Duration> {
    let process = procfs::process::Process::new(pid.cast_signed()).context("the server is gone")?;
    let mut total = 0;
    for task in process.tasks().context("the server's threads")? {
        // A thread that ended between listing and reading did its work before.
        if let Ok(spent) = task.and_then(|task| task.schedstat()) {
            total += spent.sum_exec_runtime;
        }
    }
    Ok(Duration::from_nanos(total))
}

/// CPU time of this process.
pub fn of_self() -> anyhow::Result<Duration> {
    of_process(std::process::id())
}

/// CPU time of the calling thread.
pub fn of_thread() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("schedstat")?;
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok()).context("schedstat")?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// Resident memory of a process, bytes.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let process = procfs::process::Process::new(pid.cast_signed()).context("the server is gone")?;
    let kib = process.status().context("the server's status")?.vmrss.context("no VmRSS")?;
    Ok(kib * 1024)
}
