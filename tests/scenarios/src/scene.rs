//! Who uses the deployment: guilds whose members live in several regions.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use rookery_tests::{Answer, Guild, Person, Seed};
use serde_json::{Value, json};

use crate::deployment::Layout;

/// How long people may take to be made, and the pause between two attempts.
const SEED_WITHIN: Duration = Duration::from_secs(60);
const SEED_PAUSE: Duration = Duration::from_millis(500);
/// Requests on their way at once while the scene is set.
const AT_ONCE: usize = 16;
/// Members of a guild who see its hidden channel, beside its bot.
const INSIDERS: usize = 3;

/// How many.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub sessions: usize,
    pub guilds: usize,
    /// Of a hundred people, so many are connected to another region than that of their account.
    pub travellers_percent: usize,
}

/// People, bots and where they talk.
pub struct Scene {
    pub members: Vec<Member>,
    pub rooms: Vec<Room>,
}

/// Somebody with one session.
#[derive(Clone)]
pub struct Member {
    /// At the point of presence of the region where they are.
    pub person: Person,
    pub kind: Kind,
    /// The region of their account.
    pub home: usize,
    /// The region where they are.
    pub at: usize,
    /// Their guild.
    pub room: usize,
    /// Whether they may see the guild's hidden channel.
    pub is_insider: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Person,
    Bot,
}

/// A guild.
#[derive(Clone, Debug)]
pub struct Room {
    pub guild_id: u64,
    /// The region of the guild.
    pub home: usize,
    /// Everybody sees this channel.
    pub open: u64,
    /// Only insiders see this one.
    pub hidden: u64,
    /// Places in [`Scene::members`].
    pub members: Vec<usize>,
}

impl Member {
    /// For people who read a verdict.
    pub fn describe(&self, layout: &Layout) -> String {
        let name = |region: usize| layout.regions[region].name.as_str();
        let kind = if self.kind == Kind::Bot { "bot" } else { "person" };
        format!("{kind} {} of {} in {}", self.person.id, name(self.home), name(self.at))
    }
}

impl Scene {
    /// Makes guilds in turn in each region; half of each guild's members live at its home, the others in the rest.
    pub async fn set(layout: &Layout, size: Size) -> anyhow::Result<Self> {
        ensure!(size.guilds > 0 && size.sessions >= size.guilds * 4, "a guild has at least four sessions");
        let mut scene = Self { members: Vec::new(), rooms: Vec::new() };
        for number in 0..size.guilds {
            let members = size.sessions / size.guilds + usize::from(number < size.sessions % size.guilds);
            scene.make_room(layout, number % layout.regions.len(), members, size).await?;
        }
        Ok(scene)
    }

    async fn make_room(&mut self, layout: &Layout, home: usize, members: usize, size: Size) -> anyhow::Result<()> {
        let regions = layout.regions.len();
        let abroad = if regions > 1 { members / 2 } else { 0 };
        // The bot is one of those at home.
        let seed = seed(layout, home, members - abroad - 1).await?;
        let here = Person::stranger(&layout.apis_from(home)[0]);
        let owner = here.person_of(&seed.owner.0, &seed.owner.1);
        let guild = Guild { id: seed.guild_id.clone(), channel_id: seed.channel_id.clone() };
        let open = guild.channel(&owner, "talk").await?;
        let hidden = guild.hidden_channel(&owner, "council").await?;
        let mut found: Vec<(Person, Kind, usize)> = vec![(here.bot_of(&seed.bot.0, &seed.bot.1), Kind::Bot, home)];
        found.extend(seed.users.iter().map(|(id, token)| (here.person_of(id, token), Kind::Person, home)));
        let others: Vec<usize> = (1..regions).map(|step| (home + step) % regions).collect();
        for (place, region) in others.iter().enumerate() {
            let count = abroad / others.len() + usize::from(place < abroad % others.len());
            let guests = guests(layout, *region, count, &guild, &owner).await?;
            found.extend(guests.into_iter().map(|person| (person, Kind::Person, *region)));
        }
        let insiders = found.iter().step_by(2).filter(|one| one.1 == Kind::Person).take(INSIDERS);
        let insiders: Vec<String> = insiders.map(|one| one.0.id.clone()).collect();
        for id in &insiders {
            guild.show(&owner, &hidden, id).await?;
        }
        let room = self.rooms.len();
        let first = self.members.len();
        for (person, kind, lives) in found {
            let number = self.members.len();
            let travels = kind == Kind::Person && regions > 1 && is_traveller(number, size.travellers_percent);
            let at = if travels { (lives + 1) % regions } else { lives };
            let is_insider = kind == Kind::Bot || insiders.contains(&person.id);
            let person = person.at(&layout.apis_from(at)[0]);
            self.members.push(Member { person, kind, home: lives, at, room, is_insider });
        }
        let members = (first..self.members.len()).collect();
        let id = |text: &str| text.parse::<u64>().context("an id");
        self.rooms.push(Room { guild_id: id(&guild.id)?, home, open: id(&open)?, hidden: id(&hidden)?, members });
        Ok(())
    }

    /// Which room and whether hidden.
    pub fn channel(&self, channel_id: u64) -> Option<(&Room, bool)> {
        let room = self.rooms.iter().find(|room| room.open == channel_id || room.hidden == channel_id)?;
        Some((room, room.hidden == channel_id))
    }

    /// Whether a member may see a channel.
    pub fn may_see(&self, member: &Member, channel_id: u64) -> bool {
        let room = &self.rooms[member.room];
        channel_id == room.open || (channel_id == room.hidden && member.is_insider)
    }

    /// All channels.
    pub fn channels(&self) -> Vec<u64> {
        self.rooms.iter().flat_map(|room| [room.open, room.hidden]).collect()
    }
}

/// Spread evenly over all numbers.
fn is_traveller(number: usize, percent: usize) -> bool {
    (number * percent) / 100 != ((number + 1) * percent) / 100
}

/// A guild with people in a region, as `rookery admin seed` makes it.
async fn seed(layout: &Layout, region: usize, users: usize) -> anyhow::Result<Seed> {
    let api = &layout.apis_from(region)[0];
    let file = &layout.regions[region].admin_token_file;
    let secret = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let operator = Person::stranger(api).with_authorization(&format!("Operator {}", secret.trim()));
    let body = json!({ "users": users, "members": 0 });
    let answer = ask(&operator, Method::POST, "/operator/seed", Some(&body)).await?;
    ensure!(answer.status == 200, "seeding: {answer:?}");
    Seed::from_json(&answer.body)
}

/// Asks again as long as it is told to, as clients do: a database that just started does not answer all in time.
async fn ask(person: &Person, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
    let began = Instant::now();
    loop {
        let answer = person.ask(method.clone(), path, body).await?;
        if answer.status != 503 || began.elapsed() >= SEED_WITHIN {
            return Ok(answer);
        }
        tokio::time::sleep(SEED_PAUSE).await;
    }
}

/// People who live in a region and have come into a guild of another one.
async fn guests(
    layout: &Layout,
    region: usize,
    count: usize,
    guild: &Guild,
    owner: &Person,
) -> anyhow::Result<Vec<Person>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let seed = seed(layout, region, count).await?;
    let there = Person::stranger(&layout.apis_from(region)[0]);
    let invite = owner.post(&format!("/channels/{}/invites", guild.channel_id), &json!({ "max_uses": 0 })).await?;
    let path = format!("/invites/{}", rookery_tests::text(&invite, "code")?);
    let moves = seed.users.iter().map(|(id, token)| {
        let (person, path, nursery) = (there.person_of(id, token), path.clone(), seed.guild_id.clone());
        async move {
            let left = ask(&person, Method::DELETE, &format!("/users/@me/guilds/{nursery}"), None).await?;
            ensure!(left.status == 204, "leaving: {left:?}");
            let come = ask(&person, Method::POST, &path, Some(&json!({}))).await?;
            ensure!(come.status == 200, "joining: {come:?}");
            anyhow::Ok(person)
        }
    });
    stream::iter(moves).buffered(AT_ONCE).try_collect().await
}

#[cfg(test)]
mod tests {
    use super::is_traveller;

    #[test]
    fn as_many_travel_as_was_asked_for() {
        for percent in [0, 1, 10, 33, 100] {
            assert_eq!((0..1_000).filter(|number| is_traveller(*number, percent)).count(), percent * 10);
        }
    }
}
