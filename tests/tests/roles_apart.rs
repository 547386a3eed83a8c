//! A region and two points of presence as processes of their own, over the link with its certificates.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use rookery_tests::{Gateway, Guild, PATIENCE, Person, Process, run, text};
use serde_json::json;

/// The settings of a deployment in one folder.
struct Deployment {
    folder: tempfile::TempDir,
}

impl Deployment {
    /// A CA, and certificates for a region and two points of presence.
    async fn prepare() -> anyhow::Result<Self> {
        let deployment = Self { folder: tempfile::tempdir()? };
        for (role, name) in [("region", "region"), ("pop", "pop1"), ("pop", "pop2")] {
            deployment.issue(role, name).await?;
        }
        Ok(deployment)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn issue(&self, role: &str, name: &str) -> anyhow::Result<()> {
        let (ca, out) = (self.path("ca"), self.path(name));
        let args = ["ca".into(), "--dir".into(), ca, "issue".into(), "--role".into(), role.into(), "--out".into(), out];
        let ended = run(self.folder.path(), args).await?;
        ensure!(ended.code == Some(0), "{ended:?}");
        Ok(())
    }

    /// What both ends of the link want to know.
    fn identity(&self, shows: &str) -> String {
        let file = |name: &str| self.path(shows).join(name).display().to_string();
        let (ca, certificate, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
        format!("ca_file = {ca:?}\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n")
    }

    fn region_config(&self, name: &str, listen: &str, shows: &str) -> anyhow::Result<PathBuf> {
        let data_dir = self.path("data").display().to_string();
        let text = format!(
            "limits = \"off\"\ndata_dir = {data_dir:?}\noperator = \"127.0.0.1:0\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n\
             [link]\nlisten = {listen:?}\n{}",
            self.identity(shows)
        );
        self.config(name, &text)
    }

    fn pop_config(&self, name: &str, region: &str, shows: &str) -> anyhow::Result<PathBuf> {
        let keys = self.path("data").join("token.pub").display().to_string();
        let text = format!(
            "limits = \"off\"\noperator = \"127.0.0.1:0\"\ntoken_keys_file = {keys:?}\n[pop]\nhttp = \"127.0.0.1:0\"\n\
             [uplink]\nregions = [{region:?}]\n{}",
            self.identity(shows)
        );
        self.config(name, &text)
    }

    fn config(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name).with_extension("toml");
        std::fs::write(&path, text)?;
        Ok(path)
    }

    async fn start(&self, role: &str, name: &str, config: &Path) -> anyhow::Result<Process> {
        Process::start(&self.path(name), [Path::new(role), Path::new("--config"), config]).await
    }
}

/// Asks a process whether it wants work until it says so, or the contrary.
async fn becomes_ready(process: &Process, wanted: bool) -> anyhow::Result<()> {
    let url = format!("{}/readyz", process.address("operator")?);
    let http = rookery_tests::http_client();
    let began = Instant::now();
    let mut poll = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        poll.tick().await;
        let response = http.get(&url).send().await?;
        let status = response.status();
        if status.is_success() == wanted {
            return Ok(());
        }
        let report = response.text().await?;
        ensure!(began.elapsed() < PATIENCE, "{status} {report}\n{}", process.log());
    }
}

#[tokio::test]
async fn two_points_of_presence_and_one_region() -> anyhow::Result<()> {
    let deployment = Deployment::prepare().await?;
    let config = deployment.region_config("region-a", "127.0.0.1:0", "region")?;
    let region = deployment.start("region", "region-a", &config).await?;
    let link = region.address("link")?.to_owned();
    let mut pops = Vec::new();
    for name in ["pop1", "pop2"] {
        let config = deployment.pop_config(name, &link, name)?;
        pops.push(deployment.start("pop", &format!("{name}-process"), &config).await?);
    }
    for pop in &pops {
        becomes_ready(pop, true).await?;
        ensure!(pop.ready["gateway"].is_null() && pop.ready["ca_file"].is_null(), "{}", pop.ready);
    }
    let (first, second) = (pops[0].address("api")?.to_owned(), pops[1].address("api")?.to_owned());

    // A token of one works on the other, and both serve the same.
    let alice = Person::register(&first, "alice").await?;
    let there = alice.at(&second);
    ensure!(there.get("/users/@me").await? == alice.get("/users/@me").await?);
    let guild = Guild::create(&alice, "Far apart").await?;
    let said = alice.say(&guild.channel_id, "through the first").await?;
    let path = format!("/channels/{}/messages", guild.channel_id);
    ensure!(there.get(&path).await? == alice.get(&path).await?);
    let answer = there.say(&guild.channel_id, "through the second").await?;
    ensure!(alice.get(&format!("{path}/{answer}")).await?["content"] == "through the second");
    ensure!(answer.parse::<u64>()? > said.parse::<u64>()?);
    // Both name the region's gateway, and what comes in by either comes out there.
    let url = alice.get("/gateway").await?;
    ensure!(url == there.get("/gateway").await? && url["url"] == region.ready["gateway"], "{url}");
    let mut session = Gateway::start(region.address("gateway")?, &alice.token, None).await?;
    session.forget_early();
    alice.say(&guild.channel_id, "one").await?;
    there.say(&guild.channel_id, "two").await?;
    let [one, two] = session.expect(["MESSAGE_CREATE", "MESSAGE_CREATE"]).await?;
    ensure!(one["content"] == "one" && two["content"] == "two", "{one} {two}");
    // Signed out here is signed out there.
    let login = json!({ "login": "alice", "password": rookery_tests::PASSWORD });
    let other = Person::stranger(&second).post("/auth/login", &login).await?;
    let other = alice.with_authorization(text(&other, "token")?);
    alice.post("/auth/logout", &json!({})).await?;
    there.ask(Method::GET, "/users/@me", None).await?.is_error(401, 0)?;
    other.get("/users/@me").await?;

    // Without the region: an answer in the API's shape, soon, and readiness says so.
    ensure!(region.terminate().await? == Some(0));
    for pop in &pops {
        becomes_ready(pop, false).await?;
    }
    let began = Instant::now();
    for person in [&other, &other.at(&second)] {
        let answer = person.ask(Method::GET, "/users/@me", None).await?;
        answer.is_error(503, 0)?;
        ensure!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    ensure!(began.elapsed().as_secs() < 10, "an answer took {:?}", began.elapsed());
    // What needs no region is still answered.
    Person::stranger(&first).ask(Method::GET, "/users/@me", None).await?.is_error(401, 0)?;
    Person::stranger(&first).ask(Method::GET, "/nothing", None).await?.is_error(404, 0)?;

    // The region comes back where it was.
    let config = deployment.region_config("region-b", &link, "region")?;
    let region = deployment.start("region", "region-b", &config).await?;
    for pop in &pops {
        becomes_ready(pop, true).await?;
    }
    for person in [&other, &other.at(&second)] {
        ensure!(person.get(&format!("{path}/{said}")).await?["content"] == "through the first");
    }
    other.at(&second).say(&guild.channel_id, "after all").await?;
    for pop in pops {
        ensure!(pop.terminate().await? == Some(0));
    }
    ensure!(region.terminate().await? == Some(0));
    Ok(())
}

#[tokio::test]
async fn certificates_say_who_may_be_what() -> anyhow::Result<()> {
    let deployment = Deployment::prepare().await?;
    // A region that shows a point of presence's certificate does not come up.
    let config = deployment.region_config("wrong-region", "127.0.0.1:0", "pop1")?;
    let ended = run(deployment.folder.path(), [Path::new("region"), Path::new("--config"), &config]).await?;
    ensure!(ended.code == Some(1), "{ended:?}");
    ensure!(ended.said().contains("certificate") && ended.said().contains("region"), "{ended:?}");
    // Nor does a point of presence with a region's.
    let config = deployment.region_config("region-a", "127.0.0.1:0", "region")?;
    let region = deployment.start("region", "region-a", &config).await?;
    let config = deployment.pop_config("wrong-pop", region.address("link")?, "region")?;
    let ended = run(deployment.folder.path(), [Path::new("pop"), Path::new("--config"), &config]).await?;
    ensure!(ended.code == Some(1), "{ended:?}");
    ensure!(ended.said().contains("certificate") && ended.said().contains("pop"), "{ended:?}");
    // A certificate of another deployment opens nothing.
    let strangers = Deployment::prepare().await?;
    let mut text = std::fs::read_to_string(deployment.pop_config("stranger", region.address("link")?, "pop1")?)?;
    text = text.replace(
        &deployment.path("pop1").join("cert.pem").display().to_string(),
        &strangers.path("pop1").join("cert.pem").display().to_string(),
    );
    text = text.replace(
        &deployment.path("pop1").join("key.pem").display().to_string(),
        &strangers.path("pop1").join("key.pem").display().to_string(),
    );
    let config = deployment.config("stranger", &text)?;
    let stranger = deployment.start("pop", "stranger-process", &config).await?;
    let answer = Person::stranger(stranger.address("api")?).ask(Method::GET, "/gateway", None).await?;
    answer.is_error(503, 0)?;
    becomes_ready(&stranger, false).await?;
    Ok(())
}

#[tokio::test]
async fn certificates_are_never_overwritten() -> anyhow::Result<()> {
    let deployment = Deployment::prepare().await?;
    let key = std::fs::read(deployment.path("pop1").join("key.pem"))?;
    let again = deployment.issue("pop", "pop1").await;
    ensure!(again.is_err(), "the second certificate took the place of the first");
    ensure!(std::fs::read(deployment.path("pop1").join("key.pem"))? == key);
    // One CA for all of them.
    let ca = std::fs::read(deployment.path("ca").join("ca.pem"))?;
    for name in ["region", "pop1", "pop2"] {
        ensure!(std::fs::read(deployment.path(name).join("ca.pem"))? == ca, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn check_prints_every_mistake() -> anyhow::Result<()> {
    let deployment = Deployment::prepare().await?;
    let check = async |role: &str, config: &Path| {
        run(deployment.folder.path(), [Path::new(role), Path::new("--config"), config, Path::new("--check")]).await
    };
    let fine = deployment.region_config("fine-region", "127.0.0.1:0", "region")?;
    let ended = check("region", &fine).await?;
    ensure!(ended.code == Some(0), "{ended:?}");
    let fine = deployment.pop_config("fine-pop", "127.0.0.1:1", "pop1")?;
    let ended = check("pop", &fine).await?;
    ensure!(ended.code == Some(0), "{ended:?}");
    ensure!(!deployment.path("data").exists(), "a check makes nothing");

    let region = "worker_id = 2000\nlimits = \"perhaps\"\nno_such_key = 1\n[gateway]\nmax_connections = \"many\"\n\
                  public_url = \"http://example.org\"\n[gateway.session]\nzlib_level = 77\n[link]\nlisten = \"nowhere\"\n";
    let ended = check("region", &deployment.config("bad-region", region)?).await?;
    ensure!(ended.code == Some(2), "{ended:?}");
    for key in [
        "worker_id",
        "limits",
        "no_such_key",
        "gateway.max_connections",
        "gateway.public_url",
        "gateway.session.zlib_level",
        "link.listen",
        "link.ca_file",
        "link.certificate_file",
        "link.key_file",
        "data_dir",
    ] {
        let line = format!("\n  {key}: ");
        ensure!(ended.stderr.contains(&line), "no line for {key}:\n{}", ended.stderr);
    }
    let pop = "operator = 7\n[uplink]\nregions = []\n[pop.requests]\nmax_concurrent = 0\n[pop.component]\nmax_memory_bytes = 1\n";
    let ended = check("pop", &deployment.config("bad-pop", pop)?).await?;
    ensure!(ended.code == Some(2), "{ended:?}");
    for key in [
        "operator",
        "token_keys_file",
        "uplink.regions",
        "uplink.ca_file",
        "pop.requests.max_concurrent",
        "pop.component.max_memory_bytes",
    ] {
        let line = format!("\n  {key}: ");
        ensure!(ended.stderr.contains(&line), "no line for {key}:\n{}", ended.stderr);
    }
    // A file that is no TOML, and one that is not there.
    let ended = check("region", &deployment.config("broken", "= 7\n")?).await?;
    ensure!(ended.code == Some(2) && ended.stderr.contains("broken.toml"), "{ended:?}");
    let ended = check("pop", &deployment.path("absent.toml")).await?;
    ensure!(ended.code == Some(2) && ended.stderr.contains("absent.toml"), "{ended:?}");
    // Without --check the same mistakes stop the start.
    let config = deployment.path("bad-pop.toml");
    let ended = run(deployment.folder.path(), [Path::new("pop"), Path::new("--config"), &config]).await?;
    ensure!(ended.code == Some(2), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_missing_is_named() -> anyhow::Result<()> {
    let deployment = Deployment::prepare().await?;
    // No region ran yet, so nobody wrote the public token keys.
    let config = deployment.pop_config("early", "127.0.0.1:1", "pop1")?;
    let ended = run(deployment.folder.path(), [Path::new("pop"), Path::new("--config"), &config]).await?;
    ensure!(ended.code == Some(1) && ended.said().contains("token.pub"), "{ended:?}");
    // A key file that is none.
    let key = deployment.path("region").join("key.pem");
    std::fs::remove_file(&key).context("the key was issued")?;
    std::fs::write(&key, "no key\n")?;
    let config = deployment.region_config("keyless", "127.0.0.1:0", "region")?;
    let ended = run(deployment.folder.path(), [Path::new("region"), Path::new("--config"), &config]).await?;
    ensure!(ended.code == Some(1) && ended.said().contains("key.pem"), "{ended:?}");
    Ok(())
}
