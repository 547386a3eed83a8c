//! The reference description of the API, and whether answers fit it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context as _, ensure};
use jsonschema::{Draft, Validator};
use reqwest::Method;
use serde_json::{Value, json};

use rookery_tests::{Answer, Person};

/// Where answers are known not to fit, and are meant not to: schema's path in the description, reason.
pub type Deviation = (&'static str, &'static str);

/// The description, and which of its operations were tried.
pub struct Reference {
    document: Value,
    deviations: &'static [Deviation],
    tried: Mutex<BTreeSet<String>>,
    mistakes: Mutex<Vec<String>>,
}

impl Reference {
    /// Reads the description in this repository.
    pub fn load(deviations: &'static [Deviation]) -> anyhow::Result<Self> {
        let folder = std::env::var_os("CARGO_MANIFEST_DIR").context("CARGO_MANIFEST_DIR is not set")?;
        let path = Path::new(&folder).join("reference/discord-openapi-v10.json");
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let document = serde_json::from_slice(&text)?;
        Ok(Self { document, deviations, tried: Mutex::default(), mistakes: Mutex::default() })
    }

    /// Asks as somebody and holds the answer against the operation's schema; the body.
    ///
    /// `route` is method and path as the description has them, with a query if one is wanted; `ids` stand in for the
    /// parameters of the path.
    pub async fn ask(&self, who: &Person, route: &str, ids: &[&str], body: Option<&Value>) -> anyhow::Result<Value> {
        let answer = self.try_ask(who, route, ids, body).await?;
        ensure!(answer.status < 300, "{route}: {} {}", answer.status, answer.body);
        let pattern = route.split('?').next().unwrap_or_default();
        self.lock(&self.tried).insert(pattern.to_owned());
        Ok(answer.body)
    }

    /// As [`Reference::ask`], where the answer may be an error.
    pub async fn try_ask(
        &self,
        who: &Person,
        route: &str,
        ids: &[&str],
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let (method, target) = route.split_once(' ').context("method and path")?;
        let pattern = target.split('?').next().unwrap_or_default();
        let method: Method = method.parse()?;
        let answer = who.ask(method.clone(), &fill(target, ids)?, body).await?;
        let operation = &self.document["paths"][pattern][method.as_str().to_lowercase()];
        ensure!(operation.is_object(), "the description has no {method} {pattern}");
        if let Err(error) = self.hold(operation, &answer) {
            self.lock(&self.mistakes).push(format!("{method} {pattern}: {error:#}"));
        }
        Ok(answer)
    }

    fn hold(&self, operation: &Value, answer: &Answer) -> anyhow::Result<()> {
        let (status, responses) = (answer.status.to_string(), &operation["responses"]);
        let class = format!("{}XX", &status[..1]);
        let response = responses.get(&status).or_else(|| responses.get(&class));
        let response = self.resolve(response.with_context(|| format!("no status {status}: {}", answer.body))?);
        match response.pointer("/content/application~1json/schema") {
            None => ensure!(answer.body.is_null(), "{status} has no body: {}", answer.body),
            Some(schema) => {
                let wrong = self.wrong(schema, &answer.body)?;
                ensure!(wrong.is_empty(), "{status}:\n    {}\n    in {}", wrong.join("\n    "), answer.body);
            }
        }
        Ok(())
    }

    /// What does not fit, without what is known not to.
    fn wrong(&self, schema: &Value, instance: &Value) -> anyhow::Result<Vec<String>> {
        let wrong = self.mistakes_of(schema, instance)?;
        let Some(alternatives) = schema["oneOf"].as_array().filter(|_| !wrong.is_empty()) else { return Ok(wrong) };
        // "Fits none of them" helps nobody: what is wrong with the one that it is nearest to?
        let each: Vec<_> = alternatives.iter().map(|one| self.mistakes_of(one, instance)).collect::<Result<_, _>>()?;
        Ok(each.into_iter().min_by_key(Vec::len).unwrap_or(wrong))
    }

    fn mistakes_of(&self, schema: &Value, instance: &Value) -> anyhow::Result<Vec<String>> {
        let validator = self.validator(schema)?;
        let told = |error: &jsonschema::ValidationError<'_>| {
            let place = error.evaluation_path().to_string();
            !self.deviations.iter().any(|(path, _)| place.ends_with(path))
        };
        let errors = validator.iter_errors(instance).filter(told);
        Ok(errors
            .map(|error| format!("{} at {} ({})", error, error.instance_path(), error.evaluation_path()))
            .collect())
    }

    fn validator(&self, schema: &Value) -> anyhow::Result<Validator> {
        // Its references lead into the description, so it is put inside.
        let schema = json!({ "components": self.document["components"], "allOf": [schema] });
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        options.build(&schema).map_err(|error| anyhow::anyhow!("a schema of the description: {error}"))
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let target = value["$ref"].as_str().and_then(|reference| self.document.pointer(reference.strip_prefix('#')?));
        target.unwrap_or(value)
    }

    /// Fails with everything that did not fit, and unless exactly `wanted` operations were tried.
    pub fn verdict(&self, wanted: &BTreeSet<String>) -> anyhow::Result<()> {
        let (tried, mistakes) = (self.lock(&self.tried), self.lock(&self.mistakes));
        ensure!(mistakes.is_empty(), "{} answers do not fit:\n{}", mistakes.len(), mistakes.join("\n"));
        let untried: Vec<_> = wanted.symmetric_difference(&tried).collect();
        ensure!(untried.is_empty(), "tried, or listed, but not both: {untried:?}");
        Ok(())
    }

    #[allow(clippy::unused_self, reason = "reads better at its places")]
    fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> std::sync::MutexGuard<'a, T> {
        mutex.lock().expect("no holder of it panics")
    }
}

/// Puts ids where a path has parameters.
fn fill(target: &str, ids: &[&str]) -> anyhow::Result<String> {
    let mut ids = ids.iter();
    let mut filled = String::new();
    let mut rest = target;
    while let Some((before, after)) = rest.split_once('{') {
        let (_, after) = after.split_once('}').context("an open parameter")?;
        filled.push_str(before);
        filled.push_str(ids.next().with_context(|| format!("too few ids for {target}"))?);
        rest = after;
    }
    ensure!(ids.next().is_none(), "too many ids for {target}");
    Ok(filled + rest)
}
