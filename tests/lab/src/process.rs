//! Starting, finding and ending the lab's processes.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rookery_test_cluster::Running;

use crate::interrupt::Interrupt;
use crate::state::ProcessState;
use crate::waiting::until;

/// How much of a log an error shows.
const LOG_LINES_SHOWN: usize = 12;
/// How long a killed process may still be there.
const KILL_LIMIT: Duration = Duration::from_secs(20);

impl ProcessState {
    /// The process, as long as it runs.
    pub fn running(&self) -> Result<Option<Running>> {
        match (self.pid, self.start_ticks) {
            (Some(pid), Some(ticks)) => Running::of(pid, ticks),
            _ => Ok(None),
        }
    }

    /// Starts it, in its namespace and detached from this program, and notes its id.
    pub(crate) fn start(&mut self) -> Result<()> {
        ensure!(self.running()?.is_none(), "{} runs already", self.name);
        if let Some(ready) = &self.ready_file {
            match fs::remove_file(ready) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("{} cannot be removed", ready.display()));
                }
                _ => {}
            }
        }
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("{} cannot be written", self.log.display()))?;
        let (program, args) = self.command.split_first().context("the process has no program")?;
        let mut command = match &self.namespace {
            None => Command::new(program),
            // Becomes the program.
            Some(namespace) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{namespace}")).arg(program);
                command
            }
        };
        command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // What the shell's variables say of other processes of ours is not this one's.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROOKERY_") {
                command.env_remove(name);
            }
        }
        command.envs(&self.environment);
        // The terminal's Ctrl-C is for the program in front.
        command.process_group(0);
        let child = command.spawn().with_context(|| format!("{} could not be started", self.name))?;
        let running = Running::child(&child)?.with_context(|| format!("{} ended at once", self.name))?;
        self.start_ticks = running.start_ticks();
        self.pid = Some(running.pid());
        self.broken = false;
        Ok(())
    }

    /// Waits until `is_ready`; fails when the process ends instead.
    pub(crate) fn wait_until(
        &self,
        limit: Duration,
        interrupt: &Interrupt,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let ready = until(limit, interrupt, || {
            let runs = self.running()?.is_some();
            ensure!(runs, "{} ended while it was starting; {}", self.name, self.last_words());
            Ok(is_ready())
        })?;
        ensure!(ready, "{} is not ready after {} s; {}", self.name, limit.as_secs(), self.last_words());
        Ok(())
    }

    /// Ends it at once (SIGKILL), as a power cut would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(running) = self.running()? {
            running.kill(KILL_LIMIT)?;
        }
        self.pid = None;
        self.start_ticks = None;
        Ok(())
    }

    /// Waits for the end of one that was asked to end; one that takes too long is killed.
    pub(crate) fn end_within(&mut self, limit: Duration) -> Result<()> {
        if let Some(running) = self.running()?
            && !running.ends_within(limit)?
        {
            running.kill(KILL_LIMIT)?;
        }
        self.pid = None;
        self.start_ticks = None;
        Ok(())
    }

    /// The end of its log, for errors.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let mut lines: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
        let shown = lines.split_off(lines.len().saturating_sub(LOG_LINES_SHOWN));
        format!("the end of {}:\n  {}", self.log.display(), shown.join("\n  "))
    }
}

/// Runs a command to its end, without input; what it printed.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let shown = format!("{program} {}", args.join(" "));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROOKERY_") {
            command.env_remove(name);
        }
    }
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("`{shown}` could not be started"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("`{shown}` failed ({}): {}", output.status, String::from_utf8_lossy(&said).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
