//! A process that some earlier program may have started: found by its id, watched and ended by a pidfd.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

use crate::waiting::{Deadline, PACE};

/// How often a process without arguments is looked at.
const EXEC_LOOKS_MAX: u32 = 4;

/// A process that was there when it was looked for.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    fd: OwnedFd,
}

impl Running {
    /// The process that a pid file names, if it is there and has `mark` among its arguments.
    ///
    /// After a crash the file may name an id that the kernel has given to somebody else since.
    pub(crate) fn find(pid_file: &Path, mark: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(pid_file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", pid_file.display())),
        };
        // Half a file is what a crash while it was written leaves.
        let number = text.trim().parse().ok().filter(|number| *number > 0);
        let Some(pid) = number.and_then(Pid::from_raw) else { return Ok(None) };
        let Some(running) = Self::open(pid)? else { return Ok(None) };
        Ok(running.has_argument(mark)?.then_some(running))
    }

    /// A child of this program.
    pub fn child(child: &Child) -> Result<Option<Self>> {
        Pid::from_raw(child.id().cast_signed()).map_or(Ok(None), Self::open)
    }

    /// Whether it is there and one of its arguments ends in `=` and this path.
    fn has_argument(&self, path: &Path) -> Result<bool> {
        let file = format!("/proc/{}/cmdline", self.pid());
        for _ in 0..EXEC_LOOKS_MAX {
            // No such file: it has ended.
            let arguments = fs::read(&file).unwrap_or_default();
            let has_it = arguments.split(|byte| *byte == 0).any(|argument| {
                let value = argument.strip_suffix(path.as_os_str().as_bytes());
                value.is_some_and(|name| name.ends_with(b"="))
            });
            // As long as it has not ended, its id is not given to another: what was read was about this process.
            if self.ends_within(Duration::ZERO)? {
                return Ok(false);
            }
            if !arguments.is_empty() {
                return Ok(has_it);
            }
            // It is becoming another program at this moment (or is a thread of the kernel, which has none for ever).
            if self.ends_within(PACE)? {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// The process of this id that was started at this time ([`Self::start_ticks`]); `None` when that has ended.
    pub fn of(pid: u32, start_ticks: u64) -> Result<Option<Self>> {
        let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw) else { return Ok(None) };
        let Some(running) = Self::open(pid)? else { return Ok(None) };
        // As long as it has not ended, its id is not given to another: what was read was about this process.
        let is_it = running.start_ticks() == Some(start_ticks) && !running.ends_within(Duration::ZERO)?;
        Ok(is_it.then_some(running))
    }

    /// When it was started, in ticks of the kernel's clock: with its id it tells it from all others of this boot.
    pub fn start_ticks(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        // The 22nd field; the name, which is the second, stands in parentheses and may hold any character.
        text.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
    }

    /// `None` when there is no such process.
    fn open(pid: Pid) -> Result<Option<Self>> {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(Self { pid, fd })),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("the process {pid} cannot be watched", pid = id(pid))),
        }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        id(self.pid)
    }

    /// Waits for its end for at most so long; whether it has ended.
    pub fn ends_within(&self, limit: Duration) -> Result<bool> {
        let limit = Timespec::try_from(limit).context("the limit is too long")?;
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        let ready = loop {
            match poll(&mut fds, Some(&limit)) {
                // A signal to this program that it goes on after.
                Err(Errno::INTR) => {}
                other => break other.context("a process cannot be waited for")?,
            }
        };
        if ready == 0 {
            return Ok(false);
        }
        // Ours to collect if this program started it; otherwise its parent does, and this fails, which is as well.
        let _ =
            waitid(WaitId::PidFd(std::os::fd::AsFd::as_fd(&self.fd)), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        Ok(true)
    }

    /// Asks it to end in good order (SIGTERM).
    pub fn ask_to_end(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends it at once (SIGKILL), as a crash or the kernel would; returns when it is gone.
    pub fn kill(&self, limit: Duration) -> Result<()> {
        self.signal(Signal::KILL)?;
        anyhow::ensure!(
            self.ends_within(limit)?,
            "the process {} is still there {} s after SIGKILL",
            self.pid(),
            limit.as_secs()
        );
        Ok(())
    }

    /// Halts it (SIGSTOP); returns when none of its threads runs any more.
    pub fn halt(&self, limit: Duration) -> Result<()> {
        self.signal(Signal::STOP)?;
        let deadline = Deadline::after(limit);
        while !self.is_halted()? {
            anyhow::ensure!(!self.ends_within(PACE)?, "the process {} ended before it halted", self.pid());
            anyhow::ensure!(
                !deadline.has_passed(),
                "the process {} still runs {} s after SIGSTOP",
                self.pid(),
                limit.as_secs()
            );
        }
        Ok(())
    }

    /// Lets it go on after [`Self::halt`] (SIGCONT).
    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn is_halted(&self) -> Result<bool> {
        let file = format!("/proc/{}/stat", self.pid());
        let text = fs::read_to_string(&file).with_context(|| format!("{file} cannot be read"))?;
        // The state is the first letter behind the name, which stands in parentheses and may hold any character.
        Ok(text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            // Gone already: what was wanted.
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("the process {} takes no signal", self.pid())),
        }
    }
}

fn id(pid: Pid) -> u32 {
    pid.as_raw_pid().cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// A process whose arguments hold `node=/some/folder`, like a node's.
    fn marked() -> Child {
        // `read` waits for its standard input, which the test holds.
        let script = ["-c", "read line", "node=/some/folder"];
        Command::new("sh").args(script).stdin(Stdio::piped()).spawn().unwrap()
    }

    fn find(text: &str, mark: &str) -> Option<Running> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        fs::write(&file, text).unwrap();
        Running::find(&file, Path::new(mark)).unwrap()
    }

    #[test]
    fn the_process_of_a_pid_file_is_found_and_ended() {
        let mut child = marked();
        let running = find(&format!("{}\n", child.id()), "/some/folder").unwrap();
        assert_eq!(running.pid(), child.id());
        assert!(!running.ends_within(Duration::ZERO).unwrap());
        running.kill(Duration::from_secs(10)).unwrap();
        assert!(running.ends_within(Duration::ZERO).unwrap());
        assert!(find(&child.id().to_string(), "/some/folder").is_none());
        // Collected already, so that no zombie stays.
        assert!(child.wait().is_err());
    }

    #[test]
    fn a_halted_process_goes_on_and_can_be_ended() {
        let mut child = marked();
        let running = find(&child.id().to_string(), "/some/folder").unwrap();
        running.halt(Duration::from_secs(10)).unwrap();
        assert!(running.is_halted().unwrap());
        running.go_on().unwrap();
        let deadline = Deadline::after(Duration::from_secs(10));
        while running.is_halted().unwrap() {
            assert!(!running.ends_within(PACE).unwrap() && !deadline.has_passed());
        }
        running.halt(Duration::from_secs(10)).unwrap();
        running.kill(Duration::from_secs(10)).unwrap();
        assert!(child.wait().is_err());
    }

    #[test]
    fn a_process_that_was_given_the_id_of_ours_is_not_ours() {
        let mut child = marked();
        for mark in ["/other/folder", "/some", "older", "/folder", "/some/folder/deeper"] {
            assert!(find(&child.id().to_string(), mark).is_none(), "{mark}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_is_known_by_its_id_and_its_start() {
        let mut child = marked();
        let ticks = Running::child(&child).unwrap().unwrap().start_ticks().unwrap();
        assert!(Running::of(child.id(), ticks + 1).unwrap().is_none());
        let running = Running::of(child.id(), ticks).unwrap().unwrap();
        running.kill(Duration::from_secs(10)).unwrap();
        assert!(Running::of(child.id(), ticks).unwrap().is_none());
        assert!(child.wait().is_err());
        assert!(Running::of(0, 0).unwrap().is_none() && Running::of(u32::MAX, 0).unwrap().is_none());
    }

    #[test]
    fn a_stale_a_torn_and_an_absent_pid_file_name_nobody() {
        let mut child = marked();
        child.kill().unwrap();
        child.wait().unwrap();
        for text in [&child.id().to_string(), "", "12x", "-1", "0", "4194305"] {
            assert!(find(text, "/some/folder").is_none(), "{text}");
        }
        assert!(Running::find(Path::new("/no/such/file"), Path::new("/")).unwrap().is_none());
    }
}
