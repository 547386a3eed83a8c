//! Reading values into types without stopping at the first mistake.
//!
//! Deserialisation ends with the first error. So each error is noted, what it was about is mended (left out, so that its
//! default takes its place, or filled in), and the whole is read again until it can be read. What comes of a mended
//! configuration is only looked at for further mistakes, never used.

use figment::error::{Actual, Kind};
use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;

use super::layers::{Layers, get, remove, set};
use super::mistakes::{Mistake, Mistakes};

/// More mistakes than anyone reads at once.
const MAX_MISTAKES: usize = 200;

/// What came of reading the values.
pub(super) enum Extracted<T> {
    /// What was configured.
    Faithful(T),
    /// There were mistakes; it has defaults in their place.
    Mended(T),
    /// There were mistakes that could not be mended.
    Nothing,
}

pub(super) fn extract<T: DeserializeOwned>(mut layers: Layers, mistakes: &mut Mistakes) -> Extracted<T> {
    let mut mended = !mistakes.is_empty();
    let mut invented = Vec::new();
    for _ in 0..MAX_MISTAKES {
        let error = match read::<T>(&layers.root) {
            Ok(_) if !invented.is_empty() => return without_inventions(layers.root, &invented),
            Ok(config) if mended => return Extracted::Mended(config),
            Ok(config) => return Extracted::Faithful(config),
            Err(error) => error,
        };
        let path = key_path(&error);
        if read_as_text::<T>(&mut layers, &path) {
            continue;
        }
        let name = path.join(".");
        if !mistakes.knows(&name) {
            mistakes.add(mistake(&error, name, &path, &layers));
        }
        match mend::<T>(&mut layers.root, &path) {
            Mended::LeftOut => mended = true,
            Mended::Invented => invented.push(path),
            Mended::Not => return Extracted::Nothing,
        }
    }
    Extracted::Nothing
}

/// A configuration with values that nobody chose says nothing about the others. Items of lists can be left out with
/// their lists; where a value has to be, nothing is left.
fn without_inventions<T: DeserializeOwned>(mut root: Dict, invented: &[Vec<String>]) -> Extracted<T> {
    for path in invented {
        match list_around(path) {
            // One list may have several inventions, and is gone after the first.
            Some(list) => _ = remove(&mut root, list),
            None => return Extracted::Nothing,
        }
    }
    read(&root).map_or(Extracted::Nothing, Extracted::Mended)
}

/// The list that a path leads into, the outermost of several.
fn list_around(path: &[String]) -> Option<&[String]> {
    path.iter().position(|part| part.parse::<usize>().is_ok()).map(|index| &path[..index])
}

fn read<T: DeserializeOwned>(root: &Dict) -> Result<T, Box<figment::Error>> {
    Value::from(root.clone()).deserialize().map_err(Box::new)
}

/// The key that an error is about.
fn key_path(error: &figment::Error) -> Vec<String> {
    let mut path = error.path.clone();
    match &error.kind {
        // This one is found at the key itself, the others at the table around it.
        Kind::UnknownField(name, _) if path.is_empty() => path.push(name.clone()),
        Kind::MissingField(name) => path.push(name.to_string()),
        Kind::DuplicateField(name) => path.push((*name).to_owned()),
        _ => {}
    }
    path
}

/// Takes a value out of a variable or argument as plain text if that is what its key wants.
fn read_as_text<T: DeserializeOwned>(layers: &mut Layers, path: &[String]) -> bool {
    let Some(text) = layers.origins.get_mut(path).and_then(|origin| origin.text.take()) else {
        return false;
    };
    let mut root = layers.root.clone();
    set(&mut root, path, Value::from(text));
    let fits = !matches!(read::<T>(&root), Err(error) if key_path(&error) == path);
    if fits {
        layers.root = root;
    }
    fits
}

enum Mended {
    /// The default stands in.
    LeftOut,
    /// Some value stands in, because there must be one.
    Invented,
    /// Nothing helps.
    Not,
}

/// Changes the values so that reading them fails no longer, or later, or elsewhere.
fn mend<T: DeserializeOwned>(root: &mut Dict, path: &[String]) -> Mended {
    let mut without = root.clone();
    if remove(&mut without, path) && moved_on::<T>(&without, path) {
        *root = without;
        return Mended::LeftOut;
    }
    for value in inventions() {
        let mut with = root.clone();
        set(&mut with, path, value);
        if moved_on::<T>(&with, path) {
            *root = with;
            return Mended::Invented;
        }
    }
    // An item of a list that nothing can stand in for: without the list, the rest can still be looked at.
    if let Some(list) = list_around(path)
        && remove(root, list)
    {
        return Mended::Invented;
    }
    Mended::Not
}

/// Whether reading gets past `path`.
fn moved_on<T: DeserializeOwned>(root: &Dict, path: &[String]) -> bool {
    !matches!(read::<T>(root), Err(error) if key_path(&error) == path)
}

/// Values of every sort, one of which most required keys take.
fn inventions() -> Vec<Value> {
    vec![
        Value::from(""),
        Value::from(1),
        Value::from(false),
        Value::from(Vec::<Value>::new()),
        Value::from("127.0.0.1:1"),
        Value::from("127.0.0.1"),
        Value::from(Dict::new()),
    ]
}

fn mistake(error: &figment::Error, name: String, path: &[String], layers: &Layers) -> Mistake {
    let (mut problem, expected) = describe(&error.kind, &name);
    if let (Kind::Message(message), Some(value)) = (&error.kind, get(&layers.root, path)) {
        problem = format!("found {}: {message}", show(&value.to_actual(), &name));
    }
    let source = match error.kind {
        // What is missing is nowhere.
        Kind::MissingField(_) => None,
        _ => layers.origin(path).map(|origin| origin.source.clone()),
    };
    Mistake { path: name, problem, expected, source }
}

fn describe(kind: &Kind, name: &str) -> (String, Option<String>) {
    let found = |actual: &Actual| show(actual, name);
    match kind {
        Kind::InvalidType(actual, expected) => (format!("found {}", found(actual)), Some(plain(expected))),
        Kind::InvalidValue(actual, expected) => {
            (format!("found {}, which is not allowed", found(actual)), Some(plain(expected)))
        }
        Kind::InvalidLength(length, expected) => (format!("found {length} values"), Some(plain(expected))),
        Kind::UnknownVariant(value, known) => {
            let value = if is_secret(name) { "that value".to_owned() } else { format!("`{value}`") };
            (format!("{value} is not known"), Some(one_of(known)))
        }
        Kind::UnknownField(field, known) => {
            let expected = match nearest(field, known) {
                Some(meant) => format!("`{meant}`, perhaps, of {}", list(known)),
                None => one_of(known),
            };
            ("there is no such key".to_owned(), Some(expected))
        }
        Kind::MissingField(_) => ("it is missing".to_owned(), Some("a value, as there is no default".to_owned())),
        Kind::DuplicateField(_) => ("it is given twice".to_owned(), Some("one value".to_owned())),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => ("the number is out of range".to_owned(), None),
        Kind::Unsupported(actual) => (format!("found {}", found(actual)), None),
        Kind::UnsupportedKey(actual, expected) => (format!("found {}", found(actual)), Some(expected.to_string())),
        Kind::Message(message) => (message.clone(), None),
    }
}

/// What serde calls a type, in words for people who write configuration.
fn plain(expected: &str) -> String {
    let range = |low: &str, high: String| format!("a whole number from {low} to {high}");
    match expected {
        "u8" => range("0", u8::MAX.to_string()),
        "u16" => range("0", u16::MAX.to_string()),
        "u32" => range("0", u32::MAX.to_string()),
        "u64" | "usize" => "a whole number, not negative".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a string" | "string" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        _ if expected.starts_with("struct ") || expected == "a map" => "a table".to_owned(),
        other => other.to_owned(),
    }
}

/// What was found; of a secret only what sort of thing it is.
fn show(actual: &Actual, name: &str) -> String {
    match actual {
        Actual::Str(_) | Actual::Char(_) | Actual::Bytes(_) if is_secret(name) => "text".to_owned(),
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) if is_secret(name) => "a number".to_owned(),
        Actual::Str(text) => format!("the text {text:?}"),
        Actual::Char(text) => format!("the text {text:?}"),
        Actual::Unsigned(number) => format!("the number {number}"),
        Actual::Signed(number) => format!("the number {number}"),
        Actual::Float(number) => format!("the number {number}"),
        Actual::Bool(value) => format!("{value}"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["secret", "token", "password", "private", "key", "credential"].iter().any(|word| name.contains(word))
}

fn one_of(known: &[&str]) -> String {
    match known {
        [] => "no keys here".to_owned(),
        [only] => format!("`{only}`"),
        _ => format!("one of {}", list(known)),
    }
}

fn list(known: &[&str]) -> String {
    known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The known name that differs least, if it differs little.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = (name.chars().count() / 2).clamp(1, 3);
    known
        .iter()
        .map(|candidate| (edit_distance(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many characters have to be put in, left out or changed.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, from) in from.chars().enumerate() {
        let mut diagonal = above[0];
        above[0] = row + 1;
        for (column, to) in to.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = above[column + 1];
            above[column + 1] = changed.min(diagonal + 1).min(above[column] + 1);
        }
    }
    above[to.len()]
}
