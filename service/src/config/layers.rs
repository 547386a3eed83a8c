//! Where values come from, merged key by key.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use figment::value::{Dict, Value};

use super::mistakes::{Mistake, Mistakes};

/// What the names of environment variables that configure begin with; `__` stands between the parts of a key.
pub const ENV_PREFIX: &str = "ROOKERY_";

/// Variables with the prefix that are not configuration: commands, builds and tests read them for themselves.
///
/// Every other one must be a key, because a slip such as one underscore for two would otherwise go unnoticed. Whoever
/// introduces a variable adds it here.
pub const RESERVED_ENV: &[&str] = &[
    // `rookery admin` and other commands.
    "ROOKERY_ADMIN_TOKEN",
    "ROOKERY_CONFIG",
    "ROOKERY_DATA_DIR",
    // Bots of the acceptance tests.
    "ROOKERY_API",
    "ROOKERY_GATEWAY",
    "ROOKERY_TOKEN",
    // Builds and tests.
    "ROOKERY_BIN",
    "ROOKERY_CACHE_DIR",
    "ROOKERY_COMPONENT_CWASM",
    "ROOKERY_EMBEDDED_COMPONENT",
    "ROOKERY_NODE",
    "ROOKERY_NODE_MODULES",
    "ROOKERY_PYTHON",
    "ROOKERY_SKIP_CLIENTS",
    "ROOKERY_SKIP_INFRA",
    "ROOKERY_TEST_GUEST",
    "ROOKERY_WASM_BUILDER",
];

/// Where a value came from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// For people.
    pub(super) source: String,
    /// The text as it was given, if the layer has only text.
    pub(super) text: Option<String>,
}

/// The merged values and the origin of each.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) root: Dict,
    pub(super) origins: BTreeMap<Vec<String>, Origin>,
}

impl Layers {
    pub(super) fn add_file(&mut self, path: &Path, mistakes: &mut Mistakes) {
        let source = path.display().to_string();
        let mistake = |problem: String, at: String| Mistake {
            path: String::new(),
            problem,
            expected: None,
            source: Some(format!("{source}{at}")),
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return mistakes.add(mistake(format!("cannot read the file: {error}"), String::new())),
        };
        let values = match path.extension().is_some_and(|extension| extension == "json") {
            true => from_json(&text),
            false => from_toml(&text),
        };
        let values = match values {
            Ok(values) => values,
            Err((problem, at)) => return mistakes.add(mistake(problem, at)),
        };
        match values {
            Value::Dict(_, values) => {
                let origin = Origin { source: source.clone(), text: None };
                for (key, value) in values {
                    self.put(&mut vec![key], value, &origin);
                }
            }
            _ => mistakes.add(mistake("not a table of keys and values".to_owned(), String::new())),
        }
    }

    pub(super) fn add_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        let mut variables: Vec<_> = environment
            .into_iter()
            .filter(|(name, value)| name.starts_with(ENV_PREFIX) && !is_foreign(name, value))
            .collect();
        // In the order of their names, so that contradictions have one outcome.
        variables.sort();
        for (name, text) in variables {
            let key = name[ENV_PREFIX.len()..].to_ascii_lowercase();
            let mut path: Vec<String> = key.split("__").map(str::to_owned).collect();
            let origin = Origin { source: format!("the environment variable {name}"), text: Some(text.clone()) };
            self.put(&mut path, parse(&text), &origin);
        }
    }

    pub(super) fn add_sets(&mut self, sets: &[String], mistakes: &mut Mistakes) {
        for set in sets {
            let mut mistake = |problem: &str| {
                mistakes.add(Mistake {
                    path: String::new(),
                    problem: problem.to_owned(),
                    expected: Some("--set some.key=value".to_owned()),
                    // Without the value: it may be a secret.
                    source: Some(format!("--set {}", set.split('=').next().unwrap_or_default())),
                });
            };
            let Some((key, text)) = set.split_once('=') else {
                mistake("there is no `=`");
                continue;
            };
            let mut path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
            if path.iter().any(String::is_empty) {
                mistake("a part of the key is empty");
                continue;
            }
            let origin = Origin { source: format!("--set {}", key.trim()), text: Some(text.to_owned()) };
            self.put(&mut path, parse(text), &origin);
        }
    }

    /// Puts a value at `path` over what is there; tables are merged.
    fn put(&mut self, path: &mut Vec<String>, value: Value, origin: &Origin) {
        if let Value::Dict(_, values) = &value
            && !values.is_empty()
        {
            for (key, value) in values.clone() {
                path.push(key);
                // Parts of a value given as text have no text of their own.
                self.put(path, value, &Origin { text: None, ..origin.clone() });
                path.pop();
            }
            if origin.text.is_some() {
                self.origins.insert(path.clone(), origin.clone());
            }
            return;
        }
        // An empty table changes nothing in one that is there.
        if matches!(value, Value::Dict(..)) && matches!(get(&self.root, path), Some(Value::Dict(..))) {
            return;
        }
        set(&mut self.root, path, value);
        self.origins.retain(|known, _| !known.starts_with(path));
        self.origins.insert(path.clone(), origin.clone());
    }

    /// The origin of the value at `path`, or of what is around or in it.
    pub(super) fn origin(&self, path: &[String]) -> Option<&Origin> {
        (0..=path.len())
            .rev()
            .find_map(|length| self.origins.get(&path[..length]))
            .or_else(|| self.origins.iter().find(|(known, _)| known.starts_with(path)).map(|(_, origin)| origin))
    }
}

/// Whether a variable with our prefix is not configuration.
fn is_foreign(name: &str, value: &str) -> bool {
    // Kubernetes gives these to every container next to a service that is called `rookery` or `rookery-…`.
    let is_link = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let of_kubernetes = name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || is_link && (name.ends_with("_PORT") || name.contains("_PORT_"))
        || ["_TCP_", "_UDP_", "_SCTP_"].iter().any(|protocol| name.contains(protocol)) && name.contains("_PORT_");
    RESERVED_ENV.contains(&name) || of_kubernetes
}

/// What text looks like; text that looks like nothing else is itself.
fn parse(text: &str) -> Value {
    match text.parse::<Value>() {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

/// The value at `path`; items of lists are found by their index.
pub(super) fn get<'a>(root: &'a Dict, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(root.get(first)?, |value, part| match value {
        Value::Dict(_, table) => table.get(part),
        Value::Array(_, items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Sets the value at `path`, replacing whatever is in the way; items of lists are found by their index.
pub(super) fn set(root: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            root.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let next = root.entry(first.clone()).or_insert_with(|| Value::from(Dict::new()));
            set_in(next, rest, value);
        }
    }
}

fn set_in(at: &mut Value, path: &[String], value: Value) {
    let [first, rest @ ..] = path else {
        *at = value;
        return;
    };
    if let Value::Array(_, items) = at
        && let Some(item) = first.parse::<usize>().ok().and_then(|index| items.get_mut(index))
    {
        return set_in(item, rest, value);
    }
    if !matches!(at, Value::Dict(..)) {
        *at = Value::from(Dict::new());
    }
    if let Value::Dict(_, table) = at {
        set(table, path, value);
    }
}

/// Removes the key at `path`; whether there was one. Items of lists stay, because the others would get their index.
pub(super) fn remove(root: &mut Dict, path: &[String]) -> bool {
    match path {
        [] => false,
        [last] => root.remove(last).is_some(),
        [first, rest @ ..] => root.get_mut(first).is_some_and(|value| remove_in(value, rest)),
    }
}

fn remove_in(value: &mut Value, path: &[String]) -> bool {
    match (value, path) {
        (Value::Dict(_, table), _) => remove(table, path),
        (Value::Array(_, items), [first, rest @ ..]) if !rest.is_empty() => {
            let item = first.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            item.is_some_and(|item| remove_in(item, rest))
        }
        _ => false,
    }
}

/// What is wrong with a text, and where; without the libraries' full words, which quote lines that may hold a secret.
type NotRead = (String, String);

fn from_toml(text: &str) -> Result<Value, NotRead> {
    let table = text.parse::<toml::Table>().map_err(|error| {
        let at = error.span().map(|span| line_and_column(text, span.start)).unwrap_or_default();
        (format!("not TOML: {}", error.message()), at)
    })?;
    Value::serialize(&table).map_err(|_| ("not a table of keys and values".to_owned(), String::new()))
}

fn from_json(text: &str) -> Result<Value, NotRead> {
    let json = serde_json::from_str::<serde_json::Value>(text).map_err(|error| {
        let at = format!(":{}:{}", error.line(), error.column());
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        (format!("not JSON: {message}"), at)
    })?;
    Value::serialize(&json).map_err(|_| ("not a table of keys and values".to_owned(), String::new()))
}

fn line_and_column(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(":{line}:{column}")
}
