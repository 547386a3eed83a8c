//! `rookery admin`: the operator's tool, over the same API as everybody.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::secrets;

/// A seed of a million members takes its time.
const TIMEOUT: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub struct AdminArgs {
    /// The API to speak with, such as http://127.0.0.1:8080/api.
    #[arg(long, env = "ROOKERY_API", default_value = "http://127.0.0.1:8080/api")]
    api: String,
    /// Prints one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// File with the operator's secret; without it ROOKERY_ADMIN_TOKEN, then what `rookery dev` left for this API.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Makes a guild with an owner, a bot and members, for tests and load.
    Seed {
        /// Members with tokens.
        #[arg(long, default_value_t = 10)]
        users: u32,
        /// Members without tokens.
        #[arg(long, default_value_t = 0)]
        members: u32,
    },
    /// Looks a user up by id, e-mail address or username.
    User { query: String },
    /// Shows a guild.
    Guild { id: String },
    /// Asks live sessions to reconnect and takes no new ones.
    Drain,
    /// Says how the region is doing.
    Status,
}

/// Runs one operator's command.
pub async fn run(args: AdminArgs) -> anyhow::Result<()> {
    let api = args.api.trim_end_matches('/').to_owned();
    let secret = secrets::find_admin_token(args.token_file.as_deref(), &api)?;
    let http = reqwest::Client::builder().timeout(TIMEOUT).build().context("the HTTP client")?;
    let (method, path, body) = match &args.command {
        AdminCommand::Seed { users, members } => {
            (reqwest::Method::POST, "/operator/seed".into(), Some(json!({ "users": users, "members": members })))
        }
        AdminCommand::User { query } => (reqwest::Method::GET, format!("/operator/user?query={}", encode(query)), None),
        AdminCommand::Guild { id } => (reqwest::Method::GET, format!("/operator/guild/{}", encode(id)), None),
        AdminCommand::Drain => (reqwest::Method::POST, "/operator/drain".into(), Some(json!({}))),
        AdminCommand::Status => (reqwest::Method::GET, "/operator/status".into(), None),
    };
    let mut request =
        http.request(method, format!("{api}/v10{path}")).header("Authorization", format!("Operator {secret}"));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.with_context(|| format!("{api} does not answer; is Rookery running there?"))?;
    let status = response.status();
    let answer: Value = response.json().await.context("the answer is not JSON")?;
    if status == reqwest::StatusCode::UNAUTHORIZED {
        bail!(
            "the secret is not the one of {api}; give the right one with --token-file (DIR/admin.token of its data folder)"
        );
    }
    if !status.is_success() {
        bail!("{status}: {answer}");
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{answer}")?;
    } else {
        print_text(&mut out, &answer, 0)?;
    }
    Ok(())
}

/// A JSON value for people: a line a field, lists shortened.
fn print_text(out: &mut impl std::io::Write, value: &Value, depth: usize) -> std::io::Result<()> {
    const LIST_MAX: usize = 5;
    let Value::Object(fields) = value else { return writeln!(out, "{value}") };
    for (name, value) in fields {
        write!(out, "{:1$}{name}: ", "", depth * 2)?;
        match value {
            Value::Object(_) => {
                writeln!(out)?;
                print_text(out, value, depth + 1)?;
            }
            Value::Array(items) if items.len() > LIST_MAX => {
                writeln!(out, "{} entries (all with --json)", items.len())?
            }
            Value::String(text) => writeln!(out, "{text}")?,
            other => writeln!(out, "{other}")?,
        }
    }
    Ok(())
}

/// Percent-encodes what is not unreserved in a URL.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_output_is_a_line_a_field() {
        let mut out = Vec::new();
        let value = json!({ "guild_id": "1", "owner": { "id": "2" }, "users": [1, 2, 3, 4, 5, 6] });
        print_text(&mut out, &value, 0).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "guild_id: 1\nowner: \n  id: 2\nusers: 6 entries (all with --json)\n"
        );
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encode("a b@c.org/ä"), "a%20b%40c.org%2F%C3%A4");
    }
}
