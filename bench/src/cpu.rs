//! CPU time and memory as the kernel counts them.

// A process's clock has no safe form in the crates that are built anyway.
#![expect(unsafe_code, reason = "clock_getcpuclockid and clock_gettime")]

use std::time::Duration;

use anyhow::{Context as _, ensure};

/// CPU time of a process, of its threads that ended too: it never falls.
pub fn of_process(pid: u32) -> anyhow::Result<Duration> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the call writes a clock's number to where it is told, which lives longer than the call.
    let result = unsafe { libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) };
    ensure!(result == 0, "the process is gone");
    time_of(clock)
}

/// CPU time of this process.
pub fn of_self() -> anyhow::Result<Duration> {
    of_process(std::process::id())
}

/// CPU time of the calling thread.
pub fn of_thread() -> anyhow::Result<Duration> {
    time_of(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn time_of(clock: libc::clockid_t) -> anyhow::Result<Duration> {
    let mut spent = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes a time to where it is told, which lives longer than the call.
    let result = unsafe { libc::clock_gettime(clock, &raw mut spent) };
    ensure!(result == 0, "the process is gone: {}", std::io::Error::last_os_error());
    Ok(Duration::new(u64::try_from(spent.tv_sec)?, u32::try_from(spent.tv_nsec)?))
}

/// How long a process's threads were ready to run and did not, because others did: on a machine with much else to do its
/// times are not its own.
pub fn waited(pid: u32) -> anyhow::Result<Duration> {
    let process = procfs::process::Process::new(pid.cast_signed()).context("the server is gone")?;
    let mut waited_ns = 0;
    for task in process.tasks()? {
        let path = format!("/proc/{pid}/task/{}/schedstat", task?.tid);
        let text = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
        waited_ns += text.split_whitespace().nth(1).context("no run delay")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(waited_ns))
}

/// Resident memory of a process, bytes.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let process = procfs::process::Process::new(pid.cast_signed()).context("the server is gone")?;
    let kib = process.status().context("the server's status")?.vmrss.context("no VmRSS")?;
    Ok(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_ended_thread_spent_stays_counted() {
        let before = of_self().unwrap();
        let spent = std::thread::spawn(|| {
            let wanted = Duration::from_millis(20);
            while of_thread().unwrap() < wanted {
                std::hint::black_box(vec![0_u8; 4_096]);
            }
            wanted
        });
        let spent = spent.join().unwrap();
        assert!(of_self().unwrap() - before >= spent);
    }

    #[test]
    fn who_shares_a_core_waits() {
        let begun = std::time::Instant::now();
        let busy = || while begun.elapsed() < Duration::from_millis(200) {};
        let cores = std::thread::available_parallelism().unwrap().get();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..=cores).map(|_| scope.spawn(busy)).collect();
            // Before they end, and their times with them.
            while begun.elapsed() < Duration::from_millis(150) {
                std::thread::yield_now();
            }
            assert!(waited(std::process::id()).unwrap() > Duration::ZERO);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    #[test]
    fn a_process_that_is_gone_has_no_time() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(of_process(child.id()).is_err());
    }
}
