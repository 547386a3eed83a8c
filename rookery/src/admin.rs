//! `rookery admin`: the operator's tool, over the same API as everybody.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{schema, secrets, store_admin};

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
    /// Looks a user up by id, e-mail address or username, or erases what they wrote.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    User {
        #[arg(required = true)]
        query: Option<String>,
        #[command(subcommand)]
        act: Option<UserAct>,
    },
    /// Shows a guild, or says how long it keeps messages.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Guild {
        #[arg(required = true)]
        id: Option<String>,
        #[command(subcommand)]
        act: Option<GuildAct>,
    },
    /// Writes a store into an archive; the server must be stopped.
    Export(store_admin::ExportArgs),
    /// Fills a new store from an archive; the server must be stopped.
    Import(store_admin::ImportArgs),
    /// Looks at a store while no server has it open.
    Store {
        #[command(subcommand)]
        act: store_admin::StoreAct,
    },
    /// Asks live sessions to reconnect and takes no new ones.
    Drain,
    /// Says who owns what a region owned that is lost.
    Region {
        #[command(subcommand)]
        act: RegionAct,
    },
    /// Says how the region is doing.
    Status,
    /// Makes the schema of a CQL cluster, or brings it to this version; speaks with the cluster, not with the API.
    Schema(schema::SchemaArgs),
}

/// What is done with a user.
#[derive(Debug, Subcommand)]
enum UserAct {
    /// Hides all that the user wrote until now at once, and removes it in the background. The account stays.
    Erase {
        /// The user's id.
        id: String,
    },
}

/// What is done with a region.
#[derive(Debug, Subcommand)]
enum RegionAct {
    /// Has the region that answers this API own what another one owned. Nodes that still hold leases keep what is theirs
    /// until those end.
    TakeOver {
        /// The lost region's name in the deployment.
        name: String,
    },
    /// Ends that: the region's own nodes own it again.
    GiveBack {
        /// The region's name in the deployment.
        name: String,
    },
}

/// What is done with a guild.
#[derive(Debug, Subcommand)]
enum GuildAct {
    /// How many days the guild keeps messages; older ones are removed in the background, pinned ones stay.
    Retention {
        /// The guild's id.
        id: String,
        /// Removes messages older than this.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: Option<u32>,
        /// Keeps messages for ever.
        #[arg(long, conflicts_with = "days", required_unless_present = "days")]
        off: bool,
    },
}

/// Runs one operator's command.
pub async fn run(args: AdminArgs) -> anyhow::Result<()> {
    match args.command {
        AdminCommand::Export(export) => return store_admin::export(export, args.json).await,
        AdminCommand::Import(import) => return store_admin::import(import, args.json).await,
        AdminCommand::Schema(schema) => return schema::run(schema, args.json).await,
        AdminCommand::Store { act } => return store_admin::act(act, args.json).await,
        _ => {}
    }
    let api = args.api.trim_end_matches('/').to_owned();
    let secret = secrets::find_admin_token(args.token_file.as_deref(), &api)?;
    let http = reqwest::Client::builder().timeout(TIMEOUT).build().context("the HTTP client")?;
    let (method, path, body) = request(&args.command);
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
    if status == reqwest::StatusCode::NOT_FOUND
        && let AdminCommand::Region { act: RegionAct::TakeOver { name } | RegionAct::GiveBack { name } } = &args.command
    {
        bail!("{name:?} is no other region of the deployment that {api} is part of");
    }
    if !status.is_success() {
        bail!("{status}: {answer}");
    }
    print(&answer, args.json)
}

/// What a command asks of the API.
fn request(command: &AdminCommand) -> (reqwest::Method, String, Option<Value>) {
    use reqwest::Method;
    match command {
        AdminCommand::Seed { users, members } => {
            (Method::POST, "/operator/seed".into(), Some(json!({ "users": users, "members": members })))
        }
        AdminCommand::User { act: Some(UserAct::Erase { id }), .. } => {
            (Method::POST, format!("/operator/user/{}/erase", encode(id)), Some(json!({})))
        }
        AdminCommand::User { query, act: None } => {
            let query = encode(query.as_deref().unwrap_or_default());
            (Method::GET, format!("/operator/user?query={query}"), None)
        }
        AdminCommand::Guild { act: Some(GuildAct::Retention { id, days, off: _ }), .. } => {
            let path = format!("/operator/guild/{}/retention", encode(id));
            (Method::PUT, path, Some(json!({ "max_age_days": days })))
        }
        AdminCommand::Guild { id, act: None } => {
            (Method::GET, format!("/operator/guild/{}", encode(id.as_deref().unwrap_or_default())), None)
        }
        AdminCommand::Region { act } => {
            let (name, act) = match act {
                RegionAct::TakeOver { name } => (name, "take-over"),
                RegionAct::GiveBack { name } => (name, "give-back"),
            };
            (Method::POST, format!("/operator/region/{}/{act}", encode(name)), Some(json!({})))
        }
        AdminCommand::Drain => (Method::POST, "/operator/drain".into(), Some(json!({}))),
        // Those of the store do not come here.
        _ => (Method::GET, "/operator/status".into(), None),
    }
}

/// Prints an answer, as one JSON object or for people.
pub fn print(answer: &Value, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{answer}")?;
    } else {
        print_text(&mut out, answer, 0)?;
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

    /// The tool as a program of its own.
    #[derive(Debug, clap::Parser)]
    struct Tool {
        #[command(flatten)]
        args: AdminArgs,
    }

    fn asked(line: &str) -> Result<String, clap::Error> {
        let tool = <Tool as clap::Parser>::try_parse_from(["admin"].into_iter().chain(line.split(' ')))?;
        let (method, path, body) = request(&tool.args.command);
        Ok(format!("{method:?} {path} {}", body.unwrap_or_default()))
    }

    #[test]
    fn acts_stand_beside_queries() {
        assert_eq!(asked("user ada").unwrap(), "GET /operator/user?query=ada null");
        assert_eq!(asked("user erase 5").unwrap(), "POST /operator/user/5/erase {}");
        assert_eq!(asked("guild 7").unwrap(), "GET /operator/guild/7 null");
        let retention = "PUT /operator/guild/7/retention";
        assert_eq!(asked("guild retention 7 --days 30").unwrap(), format!("{retention} {{\"max_age_days\":30}}"));
        assert_eq!(asked("guild retention 7 --off").unwrap(), format!("{retention} {{\"max_age_days\":null}}"));
        assert_eq!(asked("region take-over eu").unwrap(), "POST /operator/region/eu/take-over {}");
        assert_eq!(asked("region give-back eu").unwrap(), "POST /operator/region/eu/give-back {}");
        for wrong in [
            "region",
            "region take-over",
            "user",
            "user erase",
            "guild",
            "guild retention 7",
            "guild retention 7 --days 0",
        ] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
        assert!(asked("guild retention 7 --days 3 --off").is_err());
        assert!(asked("export /archive").is_err(), "without a store");
        assert!(asked("export /archive --data-dir a --config b").is_err());
        assert!(asked("import /archive --data-dir a --resume").is_ok());
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encode("a b@c.org/ä"), "a%20b%40c.org%2F%C3%A4");
    }
}
