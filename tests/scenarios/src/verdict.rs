//! What a scenario comes to.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// Beyond so many, more of the same helps nobody.
const SHOWN: usize = 5;

/// Invariants with what broke them, and figures.
#[derive(Clone, Debug)]
pub struct Verdict {
    scenario: String,
    checks: Vec<Check>,
    figures: Vec<(String, String)>,
    left_out: Vec<String>,
}

#[derive(Clone, Debug)]
struct Check {
    invariant: String,
    /// Empty where it held.
    broken_by: Vec<String>,
}

impl Verdict {
    /// Nothing is known yet.
    pub fn new(scenario: &str) -> Self {
        Self { scenario: scenario.into(), checks: Vec::new(), figures: Vec::new(), left_out: Vec::new() }
    }

    /// An invariant and everything that broke it.
    pub fn check(&mut self, invariant: &str, broken_by: Vec<String>) {
        self.checks.push(Check { invariant: invariant.into(), broken_by });
    }

    /// Something that was measured.
    pub fn figure(&mut self, name: &str, value: impl fmt::Display) {
        self.figures.push((name.into(), value.to_string()));
    }

    /// Part of the scenario that could not be played, and why.
    pub fn leave_out(&mut self, why: impl fmt::Display) {
        self.left_out.push(why.to_string());
    }

    /// Whether every invariant held.
    pub fn held(&self) -> bool {
        self.checks.iter().all(|check| check.broken_by.is_empty())
    }

    /// Whether nothing was checked, because nothing could be played.
    pub fn is_left_out(&self) -> bool {
        self.checks.is_empty() && !self.left_out.is_empty()
    }

    /// The invariants that did not hold.
    pub fn broken(&self) -> Vec<&str> {
        let broken = self.checks.iter().filter(|check| !check.broken_by.is_empty());
        broken.map(|check| check.invariant.as_str()).collect()
    }

    fn word(&self) -> &'static str {
        match (self.is_left_out(), self.held()) {
            (true, _) => "LEFT OUT",
            (false, true) => "PASSED",
            (false, false) => "FAILED",
        }
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| {
                json!({ "invariant": check.invariant, "held": check.broken_by.is_empty(),
                        "broken": check.broken_by.len(), "broken_by": check.broken_by.iter().take(SHOWN).collect::<Vec<_>>() })
            })
            .collect();
        let figures: serde_json::Map<String, Value> =
            self.figures.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        json!({ "scenario": self.scenario, "verdict": self.word(), "invariants": checks, "figures": figures,
                "left_out": self.left_out })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.scenario, self.word())?;
        for why in &self.left_out {
            writeln!(f, "  left out  {why}")?;
        }
        for Check { invariant, broken_by } in &self.checks {
            match broken_by.len() {
                0 => writeln!(f, "  held      {invariant}")?,
                count => writeln!(f, "  BROKEN    {invariant}: {count}")?,
            }
            for line in broken_by.iter().take(SHOWN) {
                writeln!(f, "              {line}")?;
            }
            if broken_by.len() > SHOWN {
                writeln!(f, "              … and {} more", broken_by.len() - SHOWN)?;
            }
        }
        self.figures.iter().try_for_each(|(name, value)| writeln!(f, "  {name}: {value}"))
    }
}

/// A time for people.
pub fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
