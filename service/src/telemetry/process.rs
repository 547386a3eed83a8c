//! The process's own figures, as the operating system has them, under the names that Prometheus' clients use.

use std::fs;

use metrics::gauge;

/// Clock ticks a second in `/proc/self/stat`; Linux shows it as 100 on every architecture that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads the figures; what the system does not have is left out.
pub(super) fn record() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(resident_kib) = status_kib(&status, "VmRSS:") {
        gauge!("process_resident_memory_bytes").set(resident_kib * 1024.0);
    }
    if let Ok(stat) = fs::read_to_string("/proc/self/stat")
        && let Some(ticks) = cpu_ticks(&stat)
    {
        gauge!("process_cpu_seconds_total").set(ticks / TICKS_PER_SECOND);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(descriptors.count() as f64);
    }
}

fn status_kib(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// User and system time (fields 14 and 15 of proc(5)); the command's name before them may hold anything.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_the_system_shows() {
        assert_eq!(status_kib("Name:\tx\nVmRSS:\t   1234 kB\n", "VmRSS:"), Some(1234.0));
        assert_eq!(status_kib("Name:\tx\n", "VmRSS:"), None);
        let stat = "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0 1 0";
        assert_eq!(cpu_ticks(stat), Some(100.0));
        assert_eq!(cpu_ticks("42 (short) S 1"), None);
    }
}
