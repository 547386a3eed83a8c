//! Rate limits as clients see them: headers on every answer, 429 with what to wait, and that waiting helps.

use anyhow::{Context as _, ensure};
use reqwest::Method;
use rookery_tests::{Answer, Guild, Person, Shared};
use serde_json::json;

static SERVER: Shared = Shared::new(&[]);
/// Where the global limit is what is met first.
static WIDE: Shared = Shared::new(&["--set", "rest.reads_per_5s=10000"]);

/// Room between two clocks and two roundings, seconds.
const SLACK_S: f64 = 0.05;

fn headers_fit(answer: &Answer, limit: f64, remaining: f64, window_s: f64) -> anyhow::Result<()> {
    ensure!(answer.number("x-ratelimit-limit")? == limit, "{answer:?}");
    ensure!(answer.number("x-ratelimit-remaining")? == remaining, "{answer:?}");
    let after = answer.number("x-ratelimit-reset-after")?;
    ensure!((0.0..=window_s).contains(&after), "{answer:?}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
    let reset = answer.number("x-ratelimit-reset")?;
    ensure!(reset > now - SLACK_S - 1.0 && reset <= now + window_s + SLACK_S, "reset {reset} at {now}");
    ensure!(answer.header("x-ratelimit-bucket").is_some_and(|name| !name.is_empty()), "{answer:?}");
    Ok(())
}

/// What a 429 says; the seconds to wait.
fn limited(answer: &Answer, global: bool) -> anyhow::Result<f64> {
    ensure!(answer.status == 429, "{} {}", answer.status, answer.body);
    ensure!(answer.body["message"] == "You are being rate limited.", "{}", answer.body);
    ensure!(answer.body["global"] == global, "{}", answer.body);
    let wait = answer.body["retry_after"].as_f64().context("retry_after is a number")?;
    ensure!(wait > 0.0, "{}", answer.body);
    let whole = answer.number("retry-after")?;
    ensure!(whole.fract() == 0.0 && whole >= wait && whole < wait + 1.0, "{whole} for {wait}");
    let scope = answer.header("x-ratelimit-scope");
    ensure!(scope == Some(if global { "global" } else { "user" }), "{scope:?}");
    ensure!(answer.header("x-ratelimit-global") == global.then_some("true"), "{answer:?}");
    // The global limit is no bucket's.
    ensure!(answer.header("x-ratelimit-bucket").is_none() == global, "{answer:?}");
    ensure!(answer.header("via") == Some("1.1 rookery"), "{answer:?}");
    Ok(wait)
}

#[tokio::test]
async fn five_messages_in_five_seconds() -> anyhow::Result<()> {
    let server = SERVER.get().await?;
    let author = Person::register(server.api()?, "fivemessages").await?;
    let guild = Guild::create(&author, "Limits").await?;
    let other_channel = guild.channel(&author, "other").await?;
    let path = format!("/channels/{}/messages", guild.channel_id);
    let say = |n: u32| {
        let (author, path) = (author.clone(), path.clone());
        async move { author.ask(Method::POST, &path, Some(&json!({ "content": n.to_string() }))).await }
    };
    for n in 0..5_u32 {
        let answer = say(n).await?;
        ensure!(answer.status == 200, "{n}: {} {}", answer.status, answer.body);
        headers_fit(&answer, 5.0, f64::from(4 - n), 5.0)?;
    }
    let refused = say(5).await?;
    let wait = limited(&refused, false)?;
    ensure!(wait <= 5.0, "{wait}");
    headers_fit(&refused, 5.0, 0.0, 5.0)?;
    // The limit is the channel's and the author's, and others go on.
    author.say(&other_channel, "elsewhere").await?;
    author.get(&path).await?;
    // Exactly the time that was told, then it goes on.
    tokio::time::sleep(std::time::Duration::from_secs_f64(wait)).await;
    let answer = say(6).await?;
    ensure!(answer.status == 200, "after {wait} s: {} {}", answer.status, answer.body);
    let messages = author.get(&path).await?;
    let contents: Vec<_> = messages.as_array().context("a list")?.iter().map(|message| &message["content"]).collect();
    ensure!(contents == ["6", "4", "3", "2", "1", "0"], "{contents:?}");
    Ok(())
}

#[tokio::test]
async fn fifty_requests_in_a_second() -> anyhow::Result<()> {
    let server = WIDE.get().await?;
    let person = Person::register(server.api()?, "fifty").await?;
    // More than the limit in one go; a window that ends in between lets a second fifty through, never a third.
    let answers = futures_util::future::try_join_all((0..160).map(|_| person.ask(Method::GET, "/users/@me", None)));
    let answers = answers.await?;
    let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    // Signing up asked for the same route once, perhaps within this very second.
    ensure!(served.len() >= 49, "only {} of 160 were served", served.len());
    ensure!(!refused.is_empty(), "160 requests at once and none refused");
    let mut longest: f64 = 0.0;
    for answer in &refused {
        longest = longest.max(limited(answer, true)?);
    }
    ensure!(longest <= 1.0, "a window of a second asks for {longest} s");
    // Somebody else is not concerned.
    let other = Person::register(server.api()?, "fiftyone").await?;
    other.get("/users/@me").await?;
    tokio::time::sleep(std::time::Duration::from_secs_f64(longest)).await;
    person.get("/users/@me").await?;
    Ok(())
}

#[tokio::test]
async fn every_answer_tells_its_bucket() -> anyhow::Result<()> {
    let server = SERVER.get().await?;
    let person = Person::register(server.api()?, "buckets").await?;
    let guild = Guild::create(&person, "Buckets").await?;
    let me = person.ask(Method::GET, "/users/@me", None).await?;
    let again = person.ask(Method::GET, "/users/@me", None).await?;
    let bucket = |answer: &Answer| answer.header("x-ratelimit-bucket").map(str::to_owned);
    ensure!(bucket(&me).is_some() && bucket(&me) == bucket(&again), "{me:?} {again:?}");
    ensure!(again.number("x-ratelimit-remaining")? < again.number("x-ratelimit-limit")?);
    let guild = person.ask(Method::GET, &format!("/guilds/{}", guild.id), None).await?;
    ensure!(bucket(&guild).is_some() && bucket(&guild) != bucket(&me), "two routes share {:?}", bucket(&me));
    // Errors count as well, and say so.
    let unknown = person.ask(Method::GET, "/channels/175928847299117063", None).await?;
    ensure!(unknown.status == 404 && bucket(&unknown).is_some(), "{unknown:?}");
    Ok(())
}

#[tokio::test]
async fn limits_off_is_for_loopback() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let data_dir = data_dir.to_str().context("a path")?;
    let args = [
        "dev",
        "--http",
        "0.0.0.0:0",
        "--gateway",
        "127.0.0.1:0",
        "--operator",
        "127.0.0.1:0",
        "--webtransport",
        "127.0.0.1:0",
        "--voice",
        "127.0.0.1:0",
    ];
    let more = ["--data-dir", data_dir, "--set", "limits=off"];
    let ended = rookery_tests::run(folder.path(), args.into_iter().chain(more)).await?;
    ensure!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    ensure!(ended.said().contains("limits=off") && ended.said().contains("loopback"), "{ended:?}");
    Ok(())
}
