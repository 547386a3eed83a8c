//! Sharded bots of unmodified libraries: each shard gets exactly the events of its guilds that its intents and the bot's
//! permissions allow. Nothing is missing, nothing comes twice or out of order, and nothing else comes.
//!
//! What must come is computed here, beside each deed, from the API's documentation: from who may see the channel and
//! which intents a kind of event needs.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use futures_util::future::try_join_all;
use rookery_tests::{Guild, Lines, Person, Rookery, bot_in, text};
use serde_json::{Value, json};
use tokio::process::Command;

mod programs;
use programs::{skipped, source, variable};

const SHARDS: u64 = 2;
/// Guilds on each shard.
const GUILDS_EACH: usize = 3;
/// VIEW_CHANNEL, SEND_MESSAGES, READ_MESSAGE_HISTORY: nothing that would show the bot what it is not shown.
const BOT_PERMISSIONS: u64 = 1 << 10 | 1 << 11 | 1 << 16;

mod intent {
    pub const GUILDS: u64 = 1;
    pub const GUILD_MEMBERS: u64 = 1 << 1;
    pub const GUILD_MESSAGES: u64 = 1 << 9;
    pub const GUILD_MESSAGE_REACTIONS: u64 = 1 << 10;
    pub const GUILD_MESSAGE_TYPING: u64 = 1 << 11;
    pub const DIRECT_MESSAGES: u64 = 1 << 12;
    pub const DIRECT_MESSAGE_REACTIONS: u64 = 1 << 13;
    pub const DIRECT_MESSAGE_TYPING: u64 = 1 << 14;
    pub const MESSAGE_CONTENT: u64 = 1 << 15;
    /// All that the API names but presences, which tell of others than the test's deeds.
    pub const ALL: u64 = 0x0331_feff;
    /// No content of messages, no members, no typing, no reactions.
    pub const FEW: u64 = GUILDS | GUILD_MESSAGES | DIRECT_MESSAGES;
}

/// Events by guild, or by channel for DMs; each list in order.
type Seen = BTreeMap<String, Vec<String>>;

/// What the bot must see, noted down while things are done.
struct Expected {
    intents: u64,
    seen: Vec<String>,
}

impl Expected {
    const fn new(intents: u64) -> Self {
        Self { intents, seen: Vec::new() }
    }

    /// An event for sessions with this intent.
    fn with(&mut self, intent: u64, event: String) {
        if self.intents & intent != 0 {
            self.seen.push(event);
        }
    }

    /// Content as the bot is to see it: `is_for_bot` if the bot wrote it, is mentioned in it, or it is a DM.
    fn content<'a>(&self, content: &'a str, is_for_bot: bool) -> &'a str {
        if is_for_bot || self.intents & intent::MESSAGE_CONTENT != 0 { content } else { "" }
    }
}

/// An event as far as the test looks into it, and where it belongs.
fn reduce(line: &Value) -> anyhow::Result<Option<(String, String)>> {
    let (name, data) = (text(line, "t")?, &line["d"]);
    let of = |path: &str| data.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned();
    let what = match name {
        "READY" | "RESUMED" => return Ok(None),
        "MESSAGE_CREATE" | "MESSAGE_UPDATE" => format!("{} {:?}", of("/id"), of("/content")),
        "MESSAGE_DELETE" => of("/id"),
        "MESSAGE_DELETE_BULK" => data["ids"].to_string(),
        "MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE" => {
            format!("{} {} {}", of("/message_id"), of("/user_id"), of("/emoji/name"))
        }
        "MESSAGE_REACTION_REMOVE_ALL" => of("/message_id"),
        "TYPING_START" => format!("{} {}", of("/channel_id"), of("/user_id")),
        "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "CHANNEL_DELETE" => format!("{} {}", of("/id"), of("/name")),
        "CHANNEL_PINS_UPDATE" => of("/channel_id"),
        "GUILD_MEMBER_ADD" | "GUILD_MEMBER_REMOVE" => of("/user/id"),
        "GUILD_MEMBER_UPDATE" => format!("{} {}", of("/user/id"), data["roles"]),
        "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE" => format!("{} {}", of("/role/id"), of("/role/name")),
        "GUILD_ROLE_DELETE" => of("/role_id"),
        "GUILD_CREATE" | "GUILD_UPDATE" => of("/name"),
        "GUILD_DELETE" => data["unavailable"].to_string(),
        // Whatever else comes is too much, and shows whole.
        _ => data.to_string(),
    };
    let place = ["guild_id", "id", "channel_id"]
        .into_iter()
        .filter(|field| *field != "id" || name.starts_with("GUILD_"))
        .find_map(|field| data[field].as_str());
    Ok(Some((place.unwrap_or("nowhere").to_owned(), format!("{name} {what}"))))
}

/// Who takes part.
struct Cast {
    owner: Person,
    guest: Person,
    newcomer: Person,
    bot: Person,
}

/// What happens in a guild: everything that this server can do to it, in channels that the bot sees and in one that it
/// does not.
async fn play(cast: &Cast, guild: &Guild, intents: u64) -> anyhow::Result<Vec<String>> {
    let mut expected = Expected::new(intents);
    expected.with(intent::GUILDS, "GUILD_CREATE Aviary".into());
    messages(cast, guild, &mut expected).await?;
    reactions_and_typing(cast, guild, &mut expected).await?;
    members_and_roles(cast, guild, &mut expected).await?;
    channels(cast, guild, &mut expected).await?;
    let renamed = json!({ "name": "Renamed" });
    cast.owner.patch(&format!("/guilds/{}", guild.id), &renamed).await?;
    expected.with(intent::GUILDS, "GUILD_UPDATE Renamed".into());
    Ok(expected.seen)
}

async fn messages(cast: &Cast, guild: &Guild, expected: &mut Expected) -> anyhow::Result<()> {
    let Cast { owner, guest, bot, .. } = cast;
    let channel = &guild.channel_id;
    let secret = guild.hidden_channel(owner, "secret").await?;
    let create = |expected: &mut Expected, id: &str, content: &str, is_for_bot: bool| {
        let content = expected.content(content, is_for_bot);
        let event = format!("MESSAGE_CREATE {id} {content:?}");
        expected.with(intent::GUILD_MESSAGES, event);
    };
    let said = guest.say(channel, "to everybody").await?;
    create(expected, &said, "to everybody", false);
    owner.say(&secret, "to nobody else").await?;
    let to_bot = format!("<@{}> do something", bot.id);
    create(expected, &guest.say(channel, &to_bot).await?, &to_bot, true);
    create(expected, &bot.say(channel, "done").await?, "done", true);

    guest.patch(&format!("/channels/{channel}/messages/{said}"), &json!({ "content": "edited" })).await?;
    let event = format!("MESSAGE_UPDATE {said} {:?}", expected.content("edited", false));
    expected.with(intent::GUILD_MESSAGES, event);

    owner.put(&format!("/channels/{channel}/messages/pins/{said}")).await?;
    expected.with(intent::GUILDS, format!("CHANNEL_PINS_UPDATE {channel}"));
    let event = format!("MESSAGE_UPDATE {said} {:?}", expected.content("edited", false));
    expected.with(intent::GUILD_MESSAGES, event);
    let newest = owner.get(&format!("/channels/{channel}/messages?limit=1")).await?;
    ensure!(newest[0]["type"] == 6, "no system message about the pin: {newest}");
    create(expected, text(&newest[0], "id")?, "", false);

    owner.delete(&format!("/channels/{channel}/messages/{said}")).await?;
    expected.with(intent::GUILD_MESSAGES, format!("MESSAGE_DELETE {said}"));
    let mut ids = Vec::new();
    for n in 0..3 {
        let content = format!("filler {n}");
        let id = guest.say(channel, &content).await?;
        create(expected, &id, &content, false);
        ids.push(id);
    }
    owner.post(&format!("/channels/{channel}/messages/bulk-delete"), &json!({ "messages": ids })).await?;
    expected.with(intent::GUILD_MESSAGES, format!("MESSAGE_DELETE_BULK {}", json!(ids)));
    Ok(())
}

async fn reactions_and_typing(cast: &Cast, guild: &Guild, expected: &mut Expected) -> anyhow::Result<()> {
    let Cast { owner, guest, .. } = cast;
    let channel = &guild.channel_id;
    let said = guest.say(channel, "react").await?;
    let content = expected.content("react", false);
    let event = format!("MESSAGE_CREATE {said} {content:?}");
    expected.with(intent::GUILD_MESSAGES, event);
    let reactions = format!("/channels/{channel}/messages/{said}/reactions");
    let mine = format!("{reactions}/%F0%9F%A6%9C/@me");
    guest.put(&mine).await?;
    expected.with(intent::GUILD_MESSAGE_REACTIONS, format!("MESSAGE_REACTION_ADD {said} {} 🦜", guest.id));
    guest.delete(&mine).await?;
    expected.with(intent::GUILD_MESSAGE_REACTIONS, format!("MESSAGE_REACTION_REMOVE {said} {} 🦜", guest.id));
    owner.put(&mine).await?;
    expected.with(intent::GUILD_MESSAGE_REACTIONS, format!("MESSAGE_REACTION_ADD {said} {} 🦜", owner.id));
    owner.delete(&reactions).await?;
    expected.with(intent::GUILD_MESSAGE_REACTIONS, format!("MESSAGE_REACTION_REMOVE_ALL {said}"));
    guest.post(&format!("/channels/{channel}/typing"), &json!({})).await?;
    expected.with(intent::GUILD_MESSAGE_TYPING, format!("TYPING_START {channel} {}", guest.id));
    Ok(())
}

async fn members_and_roles(cast: &Cast, guild: &Guild, expected: &mut Expected) -> anyhow::Result<()> {
    let Cast { owner, guest, newcomer, bot } = cast;
    guild.welcome(owner, newcomer).await?;
    expected.with(intent::GUILD_MEMBERS, format!("GUILD_MEMBER_ADD {}", newcomer.id));
    let roles = format!("/guilds/{}/roles", guild.id);
    let role = owner.post(&roles, &json!({ "name": "Singer", "permissions": "0" })).await?;
    let role = text(&role, "id")?.to_owned();
    expected.with(intent::GUILDS, format!("GUILD_ROLE_CREATE {role} Singer"));
    let of = |person: &Person| format!("/guilds/{}/members/{}/roles/{role}", guild.id, person.id);
    owner.put(&of(guest)).await?;
    expected.with(intent::GUILD_MEMBERS, format!("GUILD_MEMBER_UPDATE {} {}", guest.id, json!([role])));
    // A bot hears of its own roles whatever its intents; those it has already are kept.
    let before = owner.get(&format!("/guilds/{}/members/{}", guild.id, bot.id)).await?;
    owner.put(&of(bot)).await?;
    let mut with_role: Vec<&str> = before["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    with_role.push(&role);
    with_role.sort_by_key(|id| id.parse::<u64>().unwrap_or_default());
    expected.with(u64::MAX, format!("GUILD_MEMBER_UPDATE {} {}", bot.id, json!(with_role)));
    owner.patch(&format!("{roles}/{role}"), &json!({ "name": "Crooner" })).await?;
    expected.with(intent::GUILDS, format!("GUILD_ROLE_UPDATE {role} Crooner"));
    owner.delete(&format!("{roles}/{role}")).await?;
    expected.with(intent::GUILDS, format!("GUILD_ROLE_DELETE {role}"));
    newcomer.delete(&format!("/users/@me/guilds/{}", guild.id)).await?;
    expected.with(intent::GUILD_MEMBERS, format!("GUILD_MEMBER_REMOVE {}", newcomer.id));
    Ok(())
}

async fn channels(cast: &Cast, guild: &Guild, expected: &mut Expected) -> anyhow::Result<()> {
    let Cast { owner, bot, .. } = cast;
    let open = guild.channel(owner, "open").await?;
    expected.with(intent::GUILDS, format!("CHANNEL_CREATE {open} open"));
    owner.patch(&format!("/channels/{open}"), &json!({ "name": "ajar" })).await?;
    expected.with(intent::GUILDS, format!("CHANNEL_UPDATE {open} ajar"));
    owner.delete(&format!("/channels/{open}")).await?;
    expected.with(intent::GUILDS, format!("CHANNEL_DELETE {open} ajar"));
    // Shown and hidden between messages: the bot gets those in between.
    let hidden = guild.hidden_channel(owner, "nest").await?;
    owner.say(&hidden, "before").await?;
    guild.show(owner, &hidden, &bot.id).await?;
    expected.with(intent::GUILDS, format!("CHANNEL_CREATE {hidden} nest"));
    let shown = owner.say(&hidden, "between").await?;
    let event = format!("MESSAGE_CREATE {shown} {:?}", expected.content("between", false));
    expected.with(intent::GUILD_MESSAGES, event);
    guild.hide(owner, &hidden, &bot.id).await?;
    expected.with(intent::GUILDS, format!("CHANNEL_DELETE {hidden} nest"));
    owner.say(&hidden, "after").await?;
    owner.patch(&format!("/channels/{hidden}"), &json!({ "name": "empty-nest" })).await?;
    Ok(())
}

/// A conversation with the bot alone; the channel, and what the bot is to see.
async fn whisper(cast: &Cast, intents: u64) -> anyhow::Result<(String, Vec<String>)> {
    let mut expected = Expected::new(intents);
    let dm = cast.guest.post("/users/@me/channels", &json!({ "recipient_id": cast.bot.id })).await?;
    let dm = text(&dm, "id")?.to_owned();
    let said = cast.guest.say(&dm, "psst").await?;
    expected.with(intent::DIRECT_MESSAGES, format!("MESSAGE_CREATE {said} {:?}", "psst"));
    cast.guest.put(&format!("/channels/{dm}/messages/{said}/reactions/%F0%9F%A6%9C/@me")).await?;
    expected.with(intent::DIRECT_MESSAGE_REACTIONS, format!("MESSAGE_REACTION_ADD {said} {} 🦜", cast.guest.id));
    cast.guest.post(&format!("/channels/{dm}/typing"), &json!({})).await?;
    expected.with(intent::DIRECT_MESSAGE_TYPING, format!("TYPING_START {dm} {}", cast.guest.id));
    cast.guest.patch(&format!("/channels/{dm}/messages/{said}"), &json!({ "content": "hush" })).await?;
    expected.with(intent::DIRECT_MESSAGES, format!("MESSAGE_UPDATE {said} {:?}", "hush"));
    Ok((dm, expected.seen))
}

fn shard_of(guild_id: &str) -> anyhow::Result<u64> {
    Ok((guild_id.parse::<u64>()? >> 22) % SHARDS)
}

/// Guilds until every shard has enough; the clock decides whose one is.
async fn guilds(cast: &Cast, application: &str) -> anyhow::Result<Vec<Guild>> {
    let mut guilds: Vec<Guild> = Vec::new();
    let mut each = [0; SHARDS as usize];
    while each.iter().any(|count| *count < GUILDS_EACH) {
        let guild = Guild::create(&cast.owner, "Aviary").await?;
        let shard = usize::try_from(shard_of(&guild.id)?)?;
        if each[shard] == GUILDS_EACH {
            continue;
        }
        each[shard] += 1;
        guild.welcome(&cast.owner, &cast.guest).await?;
        let authorize = format!("/oauth2/authorize?client_id={application}&scope=bot&permissions={BOT_PERMISSIONS}");
        cast.owner.post(&authorize, &json!({ "guild_id": guild.id, "authorize": true })).await?;
        guilds.push(guild);
    }
    Ok(guilds)
}

/// Whether the library tells of which shard a payload came.
#[derive(Clone, Copy, PartialEq)]
enum Attribution {
    Told,
    Untold,
}

/// The whole play with one program.
async fn exact(name: &str, mut command: Command, intents: u64, attribution: Attribution) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // So few guilds a shard that `auto` makes as many shards as the test reckons with. IDENTIFYs stay limited.
    let per_shard = format!("gateway.guilds_per_shard={GUILDS_EACH}");
    let args = ["--set", "rest.enabled=false", "--set", &per_shard];
    let rookery = Rookery::start(&folder.path().join("data"), &args).await?;
    let api = rookery.api()?;
    let [owner, guest, newcomer] = ["owner", "guest", "newcomer"].map(|who| Person::register(api, who));
    let (owner, guest, newcomer) = (owner.await?, guest.await?, newcomer.await?);
    let first = Guild::create(&owner, "Bare").await?;
    let bot = bot_in(&first, &owner, "Sharder", BOT_PERMISSIONS).await?;
    owner.delete(&format!("/guilds/{}", first.id)).await?;
    let cast = Cast { owner, guest, newcomer, bot };
    let guilds = guilds(&cast, &cast.bot.id).await?;
    let about = cast.bot.get("/gateway/bot").await?;
    ensure!(about["shards"] == SHARDS, "{about}");
    ensure!(about["session_start_limit"]["total"] == 1_000 && about["session_start_limit"]["remaining"] == 1_000);
    ensure!(about["session_start_limit"]["max_concurrency"] == 1, "{about}");

    command
        .env("ROOKERY_API", api)
        .env("ROOKERY_TOKEN", &cast.bot.token)
        .env("ROOKERY_INTENTS", intents.to_string())
        .kill_on_drop(true);
    let mut program = Lines::start(name, command)?;
    let result = watch(&mut program, &cast, &guilds, intents, attribution).await;
    result.with_context(|| format!("{name}; the server's log:\n{}", rookery.log()))?;

    // Each shard started once, and one that came too early was sent away without being counted.
    let left = cast.bot.get("/gateway/bot").await?;
    ensure!(left["session_start_limit"]["remaining"] == 1_000 - SHARDS, "{left}");
    Ok(())
}

async fn watch(
    program: &mut Lines,
    cast: &Cast,
    guilds: &[Guild],
    intents: u64,
    attribution: Attribution,
) -> anyhow::Result<()> {
    wait_until_ready(program, guilds.len()).await?;
    let plays = try_join_all(guilds.iter().map(|guild| play(cast, guild, intents)));
    let (plays, (dm, whispered)) = futures_util::try_join!(plays, whisper(cast, intents))?;
    let mut expected: Seen = guilds.iter().map(|guild| guild.id.clone()).zip(plays).collect();
    expected.insert(dm.clone(), whispered);
    take_leave(cast, guilds, &mut expected).await?;

    // What comes last in each guild and in the DM stands behind all that came before: then what is missing is lost.
    let mut seen = Seen::new();
    for (place, events) in &expected {
        let last = events.last().context("something happened everywhere")?;
        let is_last = |line: &Value| {
            let event = line["t"].is_string().then(|| reduce(line).ok().flatten()).flatten();
            event.filter(|(at, event)| at == place && event == last).map(|_| line.clone())
        };
        program.find(&format!("{last} in {place}"), is_last).await?;
    }
    // `find` took those last ones out.
    for line in program.passed().filter(|line| line["t"].is_string()) {
        if let Some((place, event)) = reduce(line)? {
            seen.entry(place).or_default().push(event);
        }
        check_shard(line, attribution)?;
    }
    for (place, events) in &expected {
        let mut events = events.clone();
        let last = events.pop();
        let seen = seen.remove(place).unwrap_or_default();
        ensure!(seen == events, "in {place} before {last:?}:\nexpected {events:#?}\nseen {seen:#?}");
    }
    ensure!(seen.is_empty(), "nothing of this was to be seen: {seen:#?}");
    Ok(())
}

/// Waits for READY and every guild of every shard, and checks what READY told.
async fn wait_until_ready(program: &mut Lines, guilds: usize) -> anyhow::Result<()> {
    let mut known = Vec::new();
    while known.len() < guilds {
        let ready = program.wait_for("ready").await?;
        known.extend(ready["guilds"].as_array().context("guilds")?.clone());
    }
    for pair in &known {
        let id = pair[0].as_str().context("an id")?;
        ensure!(pair[1] == shard_of(id)?, "the library asks another shard than the server: {pair}");
    }
    ensure!(known.len() == guilds, "{known:?}");
    for shard in 0..SHARDS {
        let of_shard = |line: &Value| (line["t"] == "READY" && line["d"]["shard"][0] == shard).then(|| line.clone());
        let ready = program.find("READY", of_shard).await?;
        ensure!(ready["d"]["shard"] == json!([shard, SHARDS]), "{ready}");
        let stubs = ready["d"]["guilds"].as_array().context("guilds")?;
        ensure!(stubs.len() == GUILDS_EACH, "{ready}");
        for stub in stubs {
            ensure!(stub["unavailable"] == true && shard_of(text(stub, "id")?)? == shard, "{ready}");
        }
    }
    Ok(())
}

/// An event is on the shard of its guild, and without a guild on shard 0.
fn check_shard(line: &Value, attribution: Attribution) -> anyhow::Result<()> {
    if attribution == Attribution::Untold || line["t"] == "READY" {
        return Ok(());
    }
    let name = text(line, "t")?;
    let guild_id = if matches!(name, "GUILD_CREATE" | "GUILD_UPDATE" | "GUILD_DELETE") { "id" } else { "guild_id" };
    let shard = line["d"][guild_id].as_str().map_or(Ok(0), shard_of)?;
    ensure!(line["shard"] == shard, "on another shard than {shard}: {line}");
    Ok(())
}

/// The end in every guild: the bot is thrown out of one, one is deleted, and everywhere else a last word is said.
async fn take_leave(cast: &Cast, guilds: &[Guild], expected: &mut Seen) -> anyhow::Result<()> {
    for (n, guild) in guilds.iter().enumerate() {
        let seen = expected.get_mut(&guild.id).context("played")?;
        match n {
            0 => {
                cast.owner.delete(&format!("/guilds/{}/members/{}", guild.id, cast.bot.id)).await?;
                seen.push("GUILD_DELETE null".into());
                cast.guest.say(&guild.channel_id, "it is gone").await?;
            }
            1 => {
                cast.owner.delete(&format!("/guilds/{}", guild.id)).await?;
                seen.push("GUILD_DELETE null".into());
            }
            _ => {
                let content = format!("<@{}> good night", cast.bot.id);
                let id = cast.owner.say(&guild.channel_id, &content).await?;
                seen.push(format!("MESSAGE_CREATE {id} {content:?}"));
            }
        }
    }
    Ok(())
}

fn discord_js(shards: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(variable("ROOKERY_NODE")?);
    command.arg(source("node/shards.js")?).env("NODE_PATH", variable("ROOKERY_NODE_MODULES")?);
    command.env("ROOKERY_SHARDS", shards);
    Ok(command)
}

fn disnake(shards: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(variable("ROOKERY_PYTHON")?);
    command.arg(source("python/shards.py")?).env("ROOKERY_SHARDS", shards);
    Ok(command)
}

#[tokio::test]
async fn discord_js_with_two_shards_and_all_intents() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    exact("discord.js", discord_js("two")?, intent::ALL, Attribution::Told).await
}

/// As many shards as the server recommends.
#[tokio::test]
async fn discord_js_with_recommended_shards_and_few_intents() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    exact("discord.js", discord_js("auto")?, intent::FEW, Attribution::Told).await
}

/// Two clients that know nothing of each other: both IDENTIFY at once, one is told to come again, and does.
#[tokio::test]
async fn disnake_with_a_client_for_each_shard_and_few_intents() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    exact("disnake", disnake("apart")?, intent::FEW, Attribution::Told).await
}

#[tokio::test]
async fn disnake_with_recommended_shards_and_all_intents() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    exact("disnake", disnake("auto")?, intent::ALL, Attribution::Untold).await
}
