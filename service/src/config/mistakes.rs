//! What is wrong with a configuration.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key, such as `gateway.identify_per_day`; empty if it is not about one key.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right, if that can be said.
    pub expected: Option<String>,
    /// Where the value came from: a file, a variable, an argument. Empty for mistakes that validation finds.
    pub source: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let Some(source) = &self.source {
            write!(f, " (in {source})")?;
        }
        Ok(())
    }
}

/// Every mistake of a configuration; there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    mistakes: Vec<Mistake>,
}

impl ConfigErrors {
    /// The mistakes, in the order in which they were found.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for ConfigErrors {
    /// One line for each mistake.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mistakes.len();
        write!(f, "{count} mistake{} in the configuration:", if count == 1 { "" } else { "s" })?;
        for mistake in &self.mistakes {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects mistakes.
#[derive(Debug, Default)]
pub struct Mistakes {
    found: Vec<Mistake>,
    prefix: Vec<String>,
}

impl Mistakes {
    /// Notes that the value of `key` is wrong; `expected` completes "expected …", and may be empty if the problem says it.
    pub fn push(&mut self, key: &str, problem: impl Into<String>, expected: impl Into<String>) {
        let path = self.prefix.iter().map(String::as_str).chain([key]).filter(|part| !part.is_empty());
        let path = path.collect::<Vec<_>>().join(".");
        let expected = Some(expected.into()).filter(|expected: &String| !expected.is_empty());
        self.add(Mistake { path, problem: problem.into(), expected, source: None });
    }

    /// Notes a mistake unless `holds`.
    pub fn require(
        &mut self,
        holds: bool,
        key: &str,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) -> &mut Self {
        if !holds {
            self.push(key, problem, expected);
        }
        self
    }

    /// Validates a nested part; its paths get `key` in front.
    pub fn nested(&mut self, key: &str, part: &impl super::Validate) {
        self.prefix.push(key.to_owned());
        part.validate(self);
        self.prefix.pop();
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn add(&mut self, mistake: Mistake) {
        if !self.found.contains(&mistake) {
            self.found.push(mistake);
        }
    }

    /// Whether something is wrong at `path`, or inside of what is there: then what is found of the whole may follow
    /// from that.
    pub(super) fn knows(&self, path: &str) -> bool {
        let within =
            |found: &str| found.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.found.iter().any(|mistake| within(&mistake.path))
    }

    /// Adds mistakes at keys that have none yet.
    pub(super) fn append_unless_known(&mut self, further: Self) {
        let fresh: Vec<_> = further.found.into_iter().filter(|mistake| !self.knows(&mistake.path)).collect();
        self.found.extend(fresh);
    }

    pub(super) fn into_result<T>(self, config: T) -> Result<T, ConfigErrors> {
        if self.found.is_empty() { Ok(config) } else { Err(self.into_errors()) }
    }

    pub(super) fn into_errors(self) -> ConfigErrors {
        ConfigErrors { mistakes: self.found }
    }
}
