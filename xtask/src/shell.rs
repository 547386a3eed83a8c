//! Running other programs: said before, named when they fail, stopped when they hang.

use std::env;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Writes one line to standard error, marked as this program's.
macro_rules! say {
    ($($arg:tt)*) => { $crate::shell::write_line(format_args!($($arg)*)) };
}
pub(crate) use say;

/// What [`say!`] expands to.
pub fn write_line(line: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    // A closed terminal is no reason to stop building.
    let _ = writeln!(std::io::stderr(), "xtask: {line}");
}

/// A command without the variables that `cargo run` set for this program.
///
/// Build scripts watch some of them: left in place, each change between `cargo xtask` and plain `cargo` would
/// rebuild those crates.
pub fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command with this terminal's input and output; fails with its name unless it ends well.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    say!("$ {shown}");
    let status = command.status().with_context(|| format!("`{shown}` could not be started"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Like [`run`], but what the command prints goes to standard error: ours may hold an answer for a program.
pub fn run_aside(command: &mut Command) -> Result<()> {
    run(command.stdout(std::io::stderr()))
}

/// Like [`run`], but shows what the command printed only when it failed.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    let shown = show(command);
    say!("$ {shown}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("`{shown}` could not be started"))?;
    if !output.status.success() {
        let [said, told] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        bail!("`{shown}` failed: {}\n{said}{told}", output.status);
    }
    Ok(())
}

/// Like [`run`], but ends the command when it takes longer than `limit`.
pub fn run_within(limit: Duration, command: &mut Command) -> Result<()> {
    let shown = show(command);
    say!("$ {shown}    (for at most {} s)", limit.as_secs());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{shown}` could not be started"))?;
    let mut stderr = child.stderr.take().context("standard error was asked for above")?;
    let (ended, wait) = mpsc::sync_channel(1);
    // Standard error is closed when the command ends, whichever way.
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        let _ = ended.send(text);
    });
    let Ok(text) = wait.recv_timeout(limit) else {
        child.kill().ok();
        child.wait().ok();
        bail!("`{shown}` did not end within {} s", limit.as_secs());
    };
    let status = child.wait()?;
    if !status.success() {
        bail!("`{shown}` failed: {}", text.lines().last().unwrap_or("it said nothing"));
    }
    Ok(())
}

/// Standard output of a command that ended well, trimmed; `None` when it is not there or failed.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Where a program is on the search path.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
}

fn show(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    std::iter::once(name)
        .chain(command.get_args().map(|arg| arg.to_string_lossy().into_owned()))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_hangs_is_ended_and_named() {
        let error = run_within(Duration::from_millis(50), Command::new("sleep").arg("60")).unwrap_err();
        assert_eq!(error.to_string(), "`sleep 60` did not end within 0 s");
    }

    #[test]
    fn a_command_that_fails_is_quoted_with_its_last_word() {
        let script = "echo first >&2; echo last >&2; exit 3";
        let error = run_within(Duration::from_secs(30), Command::new("sh").args(["-c", script])).unwrap_err();
        assert!(error.to_string().ends_with("failed: last"), "{error}");
    }

    #[test]
    fn output_of_a_missing_program_is_none() {
        assert_eq!(output(&mut Command::new("no-such-program-here")), None);
        assert_eq!(output(&mut Command::new("false")), None);
        assert_eq!(output(Command::new("echo").arg("x")).as_deref(), Some("x"));
    }
}
