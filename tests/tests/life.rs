//! How the process starts, what it says when it cannot, how it ends, and what it does on a full disk.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use reqwest::Method;
use rookery_tests::{Arrival, Ended, Gateway, Guild, PATIENCE, Person, Process, Rookery, run, text};
use serde_json::{Value, json};

/// Runs `rookery dev`, which must not come up.
async fn refused(folder: &Path, extra: &[&str]) -> anyhow::Result<Ended> {
    let ended = run(folder, Rookery::args(&folder.join("data"), extra)).await?;
    ensure!(ended.code.is_some_and(|code| code != 0), "it ended well: {ended:?}");
    ensure!(!ended.said().contains("panicked"), "{ended:?}");
    Ok(ended)
}

fn says(ended: &Ended, words: &[&str]) -> anyhow::Result<()> {
    for word in words {
        ensure!(ended.said().contains(word), "{word:?} is not in: {ended:?}");
    }
    Ok(())
}

#[tokio::test]
async fn wrong_arguments_are_told() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (extra, words) in [
        (vec!["--no-such-flag"], vec!["--no-such-flag"]),
        (vec!["--cql"], vec!["--cql"]),
        (vec!["--set", "voice.node=5000", "--set", "voice.cores=0"], vec!["voice.node", "voice.cores"]),
        (vec!["--set", "gateway.no_such_limit=1"], vec!["gateway.no_such_limit"]),
        (vec!["--set", "rest.global_per_second=many"], vec!["rest.global_per_second", "many"]),
        (vec!["--set", "limits=perhaps"], vec!["limits", "perhaps"]),
        (
            vec![
                "--set",
                "gateway.inbox_capacity=0",
                "--set",
                "rest.nothing=1",
                "--set",
                "pop.requests.max_concurrent=0",
            ],
            vec!["gateway.inbox_capacity", "rest.nothing", "pop.requests.max_concurrent"],
        ),
    ] {
        let ended = refused(folder.path(), &extra).await?;
        ensure!(ended.code == Some(2), "{extra:?}: {ended:?}");
        says(&ended, &words)?;
    }
    // Nothing was begun.
    ensure!(!folder.path().join("data").exists());
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_named() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for flag in ["--http", "--gateway", "--operator", "--voice"] {
        let data_dir = folder.path().join("data").display().to_string();
        let mut args = vec!["dev", "--data-dir", &data_dir];
        for other in ["--http", "--gateway", "--operator", "--webtransport", "--voice"] {
            args.extend([other, if other == flag { &address } else { "127.0.0.1:0" }]);
        }
        let ended = run(folder.path(), &args).await?;
        ensure!(ended.code.is_some_and(|code| code != 0), "{flag}: {ended:?}");
        says(&ended, &[&address]).context(flag)?;
    }
    // Nothing is left that would stand in the way of the next start.
    let rookery = Rookery::start(&folder.path().join("data"), &[]).await?;
    ensure!(rookery.terminate().await? == Some(0));
    Ok(())
}

#[tokio::test]
async fn one_process_for_one_data_folder() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let rookery = Rookery::start(&folder.path().join("data"), &[]).await?;
    let ended = refused(folder.path(), &[]).await?;
    says(&ended, &["another process", &folder.path().join("data").display().to_string()])?;
    // The first one did not notice.
    Person::register(rookery.api()?, "first").await?;
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_be_made() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder")?;
    let data_dir = file.join("data");
    let ended = run(folder.path(), Rookery::args(&data_dir, &[])).await?;
    ensure!(ended.code == Some(1), "{ended:?}");
    says(&ended, &[&data_dir.display().to_string()])
}

#[tokio::test]
async fn the_ready_file_is_as_promised() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut rookery = Rookery::start(&folder.path().join("data"), &[]).await?;
    let ready = rookery.ready().clone();
    let mut names: Vec<&str> = ready.as_object().context("an object")?.keys().map(String::as_str).collect();
    names.sort_unstable();
    let wanted = ["api", "ca_file", "cert_sha256", "gateway", "operator", "pid", "voice", "web", "webtransport"];
    ensure!(names == wanted, "{ready}");
    ensure!(text(&ready, "voice")?.starts_with("127.0.0.1:"), "{ready}");
    ensure!(text(&ready, "webtransport")?.starts_with("https://127.0.0.1:"), "{ready}");
    let hash = text(&ready, "cert_sha256")?;
    ensure!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{ready}");
    ensure!(ready["pid"].as_u64() == rookery.process().id().map(u64::from), "{ready}");
    let (api, web) = (text(&ready, "api")?, text(&ready, "web")?);
    ensure!(api.starts_with("http://127.0.0.1:") && api.ends_with("/api"), "{ready}");
    ensure!(web == api.trim_end_matches("api"), "{ready}");
    ensure!(text(&ready, "gateway")?.starts_with("ws://127.0.0.1:"), "{ready}");
    let operator = text(&ready, "operator")?.to_owned();
    ensure!(operator.starts_with("http://127.0.0.1:"), "{ready}");
    let ca = std::fs::read_to_string(text(&ready, "ca_file")?)?;
    ensure!(ca.contains("BEGIN CERTIFICATE") && !ca.contains("PRIVATE KEY"));

    // Every listener answers by now.
    let http = Person::stranger(api);
    let gateway = http.get("/gateway").await?;
    ensure!(gateway["url"] == ready["gateway"], "{gateway}");
    Gateway::open(text(&ready, "gateway")?).await?;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let response = get_text(&format!("{operator}{path}")).await?;
        ensure!(response.0 == 200 && !response.1.is_empty(), "{path}: {response:?}");
    }
    let (status, page) = get_text(web).await?;
    ensure!(status == 200 && page.contains(text(&ready, "gateway")?), "{status} {page}");
    // Secrets are the owner's alone.
    for name in ["admin.token", "token.key", "ca.key"] {
        let mode = std::fs::metadata(rookery.data_dir().join(name)).context(name)?.permissions().mode();
        ensure!(mode & 0o077 == 0, "{name} has mode {mode:o}");
    }
    Ok(())
}

/// GET of something that need not be JSON.
async fn get_text(url: &str) -> anyhow::Result<(u16, String)> {
    let response = rookery_tests::http_client().get(url).send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

#[tokio::test]
async fn the_operators_secret() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let rookery = Rookery::start(&folder.path().join("data"), &[]).await?;
    let seed = rookery.seed(2).await?;
    ensure!(seed.users.len() == 2);
    rookery.admin(&["status"]).await?;
    let guild = rookery.admin(&["guild", &seed.guild_id]).await?;
    ensure!(guild["guild"]["id"] == seed.guild_id.as_str(), "{guild}");
    let user = rookery.admin(&["user", &seed.owner.0]).await?;
    ensure!(user.to_string().contains(&seed.owner.0), "{user}");
    ensure!(!user.to_string().contains("password"), "{user}");

    let wrong = folder.path().join("wrong.token");
    std::fs::write(&wrong, "0".repeat(64))?;
    let wrong = wrong.to_str().context("a path")?;
    let ended = run(folder.path(), ["admin", "--api", rookery.api()?, "--token-file", wrong, "status"]).await?;
    ensure!(ended.code == Some(1) && ended.stdout.is_empty(), "{ended:?}");
    says(&ended, &["secret", "admin.token"])?;
    let ended = run(folder.path(), ["admin", "--api", rookery.api()?, "--token-file", "/nowhere", "status"]).await?;
    ensure!(ended.code == Some(1), "{ended:?}");
    says(&ended, &["/nowhere"])?;
    // Without a file it is what this server left for its user; for another user there is none.
    let ended = run(folder.path(), ["admin", "--api", rookery.api()?, "--json", "status"]).await?;
    ensure!(ended.code == Some(0) && serde_json::from_str::<Value>(&ended.stdout).is_ok(), "{ended:?}");
    let stranger = tempfile::tempdir()?;
    let ended = run(stranger.path(), ["admin", "--api", rookery.api()?, "--json", "status"]).await?;
    ensure!(ended.code == Some(1), "{ended:?}");
    says(&ended, &["--token-file"])?;
    let ended =
        run(folder.path(), ["admin", "--api", "http://127.0.0.1:1/api", "--token-file", wrong, "status"]).await?;
    says(&ended, &["http://127.0.0.1:1/api"])?;
    // Neither secret is in the log.
    let secret = std::fs::read_to_string(rookery.data_dir().join("admin.token"))?;
    ensure!(!rookery.log().contains(secret.trim()) && !rookery.log().contains(&seed.owner.1));
    Ok(())
}

#[tokio::test]
async fn sigterm_drains_and_tokens_outlive_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let mut rookery = Rookery::start(&data_dir, &["--set", "limits=off"]).await?;
    let person = Person::register(rookery.api()?, "lasting").await?;
    let guild = Guild::create(&person, "Lasting").await?;
    let mut session = Gateway::start(rookery.gateway()?, &person.token, None).await?;
    session.forget_early();
    // Writes under way when the signal comes: each is answered, and what was acknowledged stays.
    let path = format!("/channels/{}/messages", guild.channel_id);
    let (asked, answered) = tokio::sync::oneshot::channel();
    let writer = tokio::spawn({
        let person = person.clone();
        async move {
            let (mut acknowledged, mut asked) = (Vec::new(), Some(asked));
            for n in 0.. {
                let content = format!("message {n}");
                match person.ask(Method::POST, &path, Some(&json!({ "content": content }))).await {
                    Ok(answer) if answer.status == 200 => acknowledged.push(content),
                    Ok(answer) if asked.is_some() => bail!("before the signal: {} {}", answer.status, answer.body),
                    Err(error) if asked.is_some() => return Err(error.context("before the signal")),
                    Ok(answer) if answer.status == 503 => break,
                    Ok(answer) => bail!("{} {}", answer.status, answer.body),
                    Err(_) => break,
                }
                if n == 10
                    && let Some(asked) = asked.take()
                {
                    let _ = asked.send(());
                }
            }
            anyhow::Ok(acknowledged)
        }
    });
    if answered.await.is_err() {
        let early = writer.await??;
        bail!("the writer ended after {} messages, before the signal", early.len());
    }
    // A client that is asked to come back says good-bye; nobody has to be waited for.
    let client = tokio::spawn(async move {
        loop {
            match session.next().await? {
                Arrival::Payload(payload) if payload["op"] == 7 => break,
                Arrival::Payload(_) => {}
                Arrival::Closed(code) => bail!("closed with {code:?}, without RECONNECT"),
            }
        }
        session.leave_for_now().await?.closed().await
    });
    let began = Instant::now();
    rookery.process().ask_to_end()?;
    let code = rookery.process().ended().await?;
    ensure!(code == Some(0), "it ended with {code:?}:\n{}", rookery.log());
    let took = began.elapsed();
    client.await??;
    let acknowledged = writer.await??;
    // The region alone waits ten seconds for clients that stay.
    ensure!(took.as_secs() < 8, "the drain took {took:?}:\n{}", rookery.log());

    let began = Instant::now();
    let rookery = Rookery::start(&data_dir, &["--set", "limits=off"]).await?;
    let took = began.elapsed();
    ensure!(took.as_secs() < 10, "the second start took {took:?}");
    let again = person.at(rookery.api()?);
    ensure!(again.get("/users/@me").await?["id"] == person.id.as_str());
    Gateway::start(rookery.gateway()?, &person.token, None).await?;
    let mut stored = Vec::new();
    let mut before = String::new();
    loop {
        let page = again.get(&format!("/channels/{}/messages?limit=100{before}", guild.channel_id)).await?;
        let Some(oldest) = page.as_array().and_then(|page| page.last()) else { break };
        before = format!("&before={}", text(oldest, "id")?);
        for message in page.as_array().context("a page")? {
            stored.push(text(message, "content")?.to_owned());
        }
    }
    stored.reverse();
    let missing: Vec<_> = acknowledged.iter().filter(|content| !stored.contains(content)).collect();
    ensure!(missing.is_empty(), "acknowledged and gone: {missing:?}");
    Ok(())
}

#[tokio::test]
async fn a_signal_during_the_start_ends_it_in_order() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // The first lines that the log of a first start has, each a different moment of it.
    for (n, moment) in ["made a CA", "made a new store", "opened the store", "the gateway listens"].iter().enumerate() {
        let data_dir = folder.path().join(format!("data-{n}"));
        let mut process = Process::start_until(&data_dir, Rookery::args(&data_dir, &[]), moment).await?;
        process.ask_to_end()?;
        let code = process.ended().await?;
        ensure!(code == Some(0), "at {moment:?} it ended with {code:?}:\n{}", process.log());
        let rookery = Rookery::start(&data_dir, &[]).await?;
        Person::register(rookery.api()?, "afterwards").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_operator_drains_without_ending() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let rookery = Rookery::start(&folder.path().join("data"), &[]).await?;
    let person = Person::register(rookery.api()?, "drained").await?;
    let mut session = Gateway::start(rookery.gateway()?, &person.token, None).await?;
    let drained = rookery.admin(&["drain"]).await?;
    ensure!(drained["sessions"] == 1, "{drained}");
    loop {
        match session.next().await? {
            Arrival::Payload(payload) if payload["op"] == 7 => break,
            Arrival::Payload(_) => {}
            Arrival::Closed(code) => bail!("closed with {code:?} instead of being asked to reconnect"),
        }
    }
    Ok(())
}

/// A file system of a few megabytes; unmounted when dropped.
struct SmallDisk {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Fails where nothing can be mounted.
    fn mount(megabytes: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("disk");
        std::fs::create_dir(&path)?;
        let options = format!("size={megabytes}m");
        let mut mount = std::process::Command::new("mount");
        let out = mount.args(["-t", "tmpfs", "-o", &options, "rookery"]).arg(&path).output().context("mount")?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr).trim());
        Ok(Self { path, _folder: folder })
    }

    /// Takes all the room that is left.
    fn fill(&self) -> anyhow::Result<PathBuf> {
        let path = self.path.join("filler");
        let mut file = std::fs::File::create(&path)?;
        for block in [1 << 20, 4_096, 1] {
            let zeros = vec![0; block];
            loop {
                match file.write_all(&zeros) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("filling the disk"),
                }
            }
        }
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may still hold a file.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_recovers() -> anyhow::Result<()> {
    let disk = match SmallDisk::mount(96) {
        Ok(disk) => disk,
        Err(error) => {
            println!("skipped: no small file system can be mounted: {error:#}");
            return Ok(());
        }
    };
    let data_dir = disk.path.join("data");
    let rookery = Rookery::start(&data_dir, &["--set", "limits=off"]).await?;
    let person = Person::register(rookery.api()?, "crowded").await?;
    let guild = Guild::create(&person, "Crowded").await?;
    let mut session = Gateway::start(rookery.gateway()?, &person.token, None).await?;
    session.forget_early();
    let path = format!("/channels/{}/messages", guild.channel_id);
    let filler = "x".repeat(1_900);
    let mut acknowledged = vec![person.say(&guild.channel_id, "room").await?];

    let in_the_way = disk.fill()?;
    // What was set aside before is used up first; then every write is refused, and as an overload, not as a fault.
    let began = Instant::now();
    let refused = loop {
        ensure!(began.elapsed() < PATIENCE, "{} writes on a full disk and none refused", acknowledged.len());
        let content = format!("{} {filler}", acknowledged.len());
        let answer = person.ask(Method::POST, &path, Some(&json!({ "content": content }))).await?;
        if answer.status == 200 {
            acknowledged.push(text(&answer.body, "id")?.to_owned());
        } else {
            break answer;
        }
    };
    refused.is_error(503, 0)?;
    ensure!(refused.header("retry-after").is_some(), "{refused:?}");
    for n in 0..5 {
        let answer = person.ask(Method::POST, &path, Some(&json!({ "content": format!("refused {n}") }))).await?;
        answer.is_error(503, 0)?;
    }
    let edit = json!({ "content": "refused edit" });
    let first = format!("{path}/{}", acknowledged[0]);
    person.ask(Method::PATCH, &first, Some(&edit)).await?.is_error(503, 0)?;
    let register = json!({ "email": "late@example.org", "username": "late", "password": rookery_tests::PASSWORD });
    let stranger = Person::stranger(rookery.api()?);
    stranger.ask(Method::POST, "/auth/register", Some(&register)).await?.is_error(503, 0)?;
    // Reads go on: of what is stored, and only of that.
    let messages = person.get(&format!("{path}?limit=100")).await?;
    let newest = messages[0]["id"].as_str();
    ensure!(newest == acknowledged.last().map(String::as_str), "{newest:?} is not the last acknowledged one");
    ensure!(person.get(&first).await?["content"] == "room");
    person.get("/users/@me").await?;

    std::fs::remove_file(in_the_way)?;
    let began = Instant::now();
    let recovered = loop {
        ensure!(began.elapsed() < PATIENCE, "there is room and writes are still refused:\n{}", rookery.log());
        let answer = person.ask(Method::POST, &path, Some(&json!({ "content": "room again" }))).await?;
        if answer.status == 200 {
            break text(&answer.body, "id")?.to_owned();
        }
        answer.is_error(503, 0)?;
    };
    acknowledged.push(recovered);
    // Nobody heard of a message that was refused, and everybody of each that was not.
    let before = session.until_message("room again").await?;
    let heard: Vec<&str> = before.iter().filter_map(|(_, message)| message["id"].as_str()).collect();
    let (_, told) = acknowledged.split_last().context("some")?;
    ensure!(heard == told, "{} heard, {} acknowledged", heard.len(), told.len());
    ensure!(rookery.terminate().await? == Some(0));

    // And so it is after the next start.
    let rookery = Rookery::start(&data_dir, &[]).await?;
    let person = person.at(rookery.api()?);
    let mut stored = Vec::new();
    let mut before = String::new();
    while stored.len() < acknowledged.len() {
        let page = person.get(&format!("{path}?limit=100{before}")).await?;
        let page = page.as_array().context("a page")?;
        stored.extend(page.iter().filter_map(|message| message["id"].as_str().map(str::to_owned)));
        before = format!("&before={}", text(page.last().context("all are stored")?, "id")?);
    }
    stored.reverse();
    ensure!(stored == acknowledged, "{} stored, {} acknowledged", stored.len(), acknowledged.len());
    Ok(())
}

#[tokio::test]
async fn it_says_what_it_is() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ended = run(folder.path(), ["--version"]).await?;
    ensure!(ended.code == Some(0) && ended.stdout.starts_with("rookery "), "{ended:?}");
    let ended = run(folder.path(), ["--help"]).await?;
    for command in ["dev", "pop", "region", "sfu", "ca", "admin", "bench"] {
        ensure!(ended.stdout.contains(command), "{command} is not in the help: {ended:?}");
    }
    Ok(())
}
