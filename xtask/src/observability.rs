//! Alerts: the rules are read, tried on series of figures, and each has its page for who is woken.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::{paths, shell};

const FOLDER: &str = "infra/observability";
const RUNBOOKS: &str = "docs/runbooks";

/// Checks and tests the rules, and that rules, dashboards and code speak of the same figures.
pub fn test() -> Result<()> {
    let root = paths::root();
    let rules = files(&root.join(FOLDER).join("rules"), "yml")?;
    shell::run_aside(shell::clean("promtool").args(["check", "rules"]).args(&rules))?;
    let tests = files(&root.join(FOLDER).join("tests"), "yml")?;
    shell::run_aside(shell::clean("promtool").args(["test", "rules"]).args(&tests))?;
    for rule in &rules {
        every_alert_has_its_page(root, &read(rule)?)?;
    }
    let dashboards = files(&root.join(FOLDER).join("dashboards"), "json")?;
    let code = code(root)?;
    for path in rules.iter().chain(&dashboards) {
        let text = read(path)?;
        if path.extension().is_some_and(|extension| extension == "json") {
            serde_json::from_str::<serde_json::Value>(&text)
                .with_context(|| format!("{} is no JSON", path.display()))?;
        }
        for figure in figures(&text) {
            let counted = base(&figure);
            ensure!(code.contains(&format!("\"{counted}\"")), "{}: nothing counts {figure}", path.display());
        }
    }
    Ok(())
}

fn every_alert_has_its_page(root: &Path, rules: &str) -> Result<()> {
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let page = format!("{RUNBOOKS}/{alert}.md");
        ensure!(root.join(&page).is_file(), "the alert {alert} has no page {page}");
        ensure!(rules.contains(&format!("runbook: {page}")), "the alert {alert} does not name {page}");
    }
    Ok(())
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} could not be read", folder.display()))?;
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths: Vec<PathBuf> =
        paths?.into_iter().filter(|path| path.extension().is_some_and(|it| it == extension)).collect();
    ensure!(!paths.is_empty(), "{} has no .{extension}", folder.display());
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} could not be read", path.display()))
}

/// Names of figures of ours in a text, recorded ones (`job:…`) left out.
fn figures(text: &str) -> Vec<String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    let words = text.split(|character: char| !character.is_ascii() || !is_part(character as u8));
    let mut found: Vec<String> =
        words.filter(|word| word.starts_with("rookery_") && !word.contains(':')).map(str::to_owned).collect();
    found.sort();
    found.dedup();
    found
}

/// The figure that a histogram's parts belong to.
fn base(figure: &str) -> &str {
    let parts = ["_bucket", "_count", "_sum"];
    parts.iter().find_map(|part| figure.strip_suffix(part)).unwrap_or(figure)
}

/// All sources of the processes.
fn code(root: &Path) -> Result<String> {
    let mut text = String::new();
    for folder in
        ["service/src", "link/src", "edge/pop/src", "regional-gateway", "core-db/src", "sfu/src", "rookery/src"]
    {
        read_all(&root.join(folder), &mut text)?;
    }
    Ok(text)
}

fn read_all(folder: &Path, text: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} could not be read", folder.display()))? {
        let path = entry?.path();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        match path.is_dir() {
            true if path.file_name().is_none_or(|name| name != "tests") => read_all(&path, text)?,
            false if is_source => text.push_str(&read(&path)?),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_expressions() {
        let text =
            "sum(rate(rookery_pop_request_seconds_bucket{le=\"1\"}[5m])) / pop:rookery_x:rate5m + rookery_draining";
        assert_eq!(figures(text), ["rookery_draining", "rookery_pop_request_seconds_bucket"]);
        assert_eq!(base("rookery_pop_request_seconds_bucket"), "rookery_pop_request_seconds");
        assert_eq!(base("rookery_draining"), "rookery_draining");
    }
}
