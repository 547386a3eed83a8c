//! Filling in the settings of `infra/cassandra`.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Replaces each `{{name}}` by its value, written as JSON, which is a value of YAML too, whatever is in it.
///
/// A name without value and a value that the template does not name are mistakes of ours; both are errors.
pub(crate) fn render(template: &str, values: &[(&str, Value)]) -> Result<String> {
    let mut text = String::with_capacity(template.len());
    let mut unused: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").context("the template has a {{ without }}")?;
        rest = after;
        text.push_str(before);
        let (_, value) = values
            .iter()
            .find(|(known, _)| *known == name)
            .with_context(|| format!("the template asks for {name}, which has no value"))?;
        text.push_str(&value.to_string());
        unused.retain(|other| *other != name);
    }
    if let [name, ..] = unused[..] {
        bail!("the template does not ask for {name}");
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_quoted() {
        let values = [("path", "a \"b\"\\c: #d".into()), ("port", 7000.into())];
        let text = render("folder: {{path}}\nport: {{port}}, {{port}}\n", &values).unwrap();
        assert_eq!(text, "folder: \"a \\\"b\\\"\\\\c: #d\"\nport: 7000, 7000\n");
    }

    #[test]
    fn a_missing_and_a_superfluous_value_are_named() {
        let error = |template, values: &[(&str, Value)]| render(template, values).unwrap_err().to_string();
        assert_eq!(error("{{a}}", &[]), "the template asks for a, which has no value");
        assert_eq!(error("", &[("a", 1.into())]), "the template does not ask for a");
        assert_eq!(error("{{a", &[("a", 1.into())]), "the template has a {{ without }}");
    }
}
