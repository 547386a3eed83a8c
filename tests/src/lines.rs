//! A program that prints JSON lines.

use std::collections::VecDeque;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::PATIENCE;

/// A started program and the lines it prints; killed when dropped.
pub struct Lines {
    child: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
    /// Lines that were read while another was looked for.
    passed: VecDeque<Value>,
    name: String,
}

impl Lines {
    /// Starts a program.
    pub fn start(name: &str, command: Command) -> anyhow::Result<Self> {
        Self::start_with(name, command, Stdio::null())
    }

    /// Starts a program that is [told](Self::tell) what to do.
    pub fn start_told(name: &str, command: Command) -> anyhow::Result<Self> {
        Self::start_with(name, command, Stdio::piped())
    }

    fn start_with(name: &str, mut command: Command, stdin: Stdio) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        let lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        Ok(Self { child, lines, passed: VecDeque::new(), name: name.into() })
    }

    /// Writes a line to the program.
    pub async fn tell(&mut self, line: &Value) -> anyhow::Result<()> {
        let stdin = self.child.stdin.as_mut().with_context(|| format!("{} takes no lines", self.name))?;
        let said = stdin.write_all(format!("{line}\n").as_bytes()).await;
        said.with_context(|| format!("{} does not listen", self.name))
    }

    /// The next line for which the function has an answer; those before it are kept for later questions.
    pub async fn find<T>(&mut self, what: &str, want: impl Fn(&Value) -> Option<T>) -> anyhow::Result<T> {
        if let Some((place, found)) = self.passed.iter().enumerate().find_map(|(i, line)| Some((i, want(line)?))) {
            self.passed.remove(place);
            return Ok(found);
        }
        let search = async {
            loop {
                let Some(text) = self.lines.next_line().await? else {
                    bail!("{} ended while the test waited for {what}; it said {:?}", self.name, self.passed)
                };
                let line: Value = serde_json::from_str(&text).with_context(|| format!("{}: {text}", self.name))?;
                if let Some(error) = line.get("error") {
                    bail!("{} failed while the test waited for {what}: {error}", self.name);
                }
                match want(&line) {
                    Some(found) => return Ok(found),
                    None => self.passed.push_back(line),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => bail!("{} did not say {what}; it said {:?}", self.name, self.passed),
        }
    }

    /// Waits for a line with this field set to true.
    pub async fn wait_for(&mut self, field: &str) -> anyhow::Result<Value> {
        self.find(field, |line| (line[field] == true).then(|| line.clone())).await
    }

    /// Waits until the bot says that it did something.
    pub async fn done(&mut self, what: &str) -> anyhow::Result<Value> {
        self.find(what, |line| (line["done"] == what).then(|| line.clone())).await
    }

    /// Forgets the lines read so far: what is looked for from now on was said after them, or is on its way.
    pub fn forget(&mut self) {
        self.passed.clear();
    }

    /// The lines read and not asked for so far.
    pub fn passed(&self) -> impl Iterator<Item = &Value> {
        self.passed.iter()
    }
}
