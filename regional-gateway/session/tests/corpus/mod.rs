//! Events as a lively guild has them, from a seed.
//!
//! Who writes is drawn from a few hundred members with avatars, nicknames and roles; what they write is drawn word by
//! word, common words more often, so that no phrase comes twice by more than chance. That compresses worse than what
//! people write, who repeat one another.

#![allow(dead_code, reason = "each test file uses its own part")]

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rookery_model::gateway::Event;
use rookery_model::gateway::event::{MessageDelete, MessageEvent, ReactionEvent, TypingStart};
use rookery_model::member::Member;
use rookery_model::message::{Message, MessageFlags, MessageType, ReactionEmoji};
use rookery_model::user::User;
use rookery_model::{ChannelId, GuildId, MessageId, RoleId, Timestamp, UserId};

const MEMBERS: usize = 300;
const CHANNELS: usize = 20;
const GUILD: u64 = 1_189_203_344_556_675_072;

const WORDS: &str = "the to i a and it is you that of in for on this my was have not be but just are with so like we at if \
do what me can all no they your get one or from how there up when about out an would know its think really good time has he \
why more people now then as go also them need some still want see will because make game much only well yeah should too \
had work even any back been lol right where did here him she new way who her very first our something us today try got ok \
than over could his better same look thing though server by day thanks never after which other probably always before \
into play please though maybe sure actually someone last pretty going anyone use down two those most bad again every \
nice little around long thought years find feel put great love let might off trying done said come were these their \
tomorrow morning tonight weekend stream update patch build error release branch merge channel message button screen \
keyboard window linux driver crash restart download upload video music song album guitar drums coffee pizza dinner cat \
dog garden weather rain snow winter summer train ticket airport hotel holiday birthday school exam homework teacher lab \
project deadline meeting manager salary rent kitchen recipe butter garlic onion bread cheese chocolate football match \
season league score referee keeper striker midfield chess opening endgame queen bishop rook knight pawn tournament bracket";

struct Author {
    user: User,
    member: Member,
}

/// An endless guild.
pub struct Corpus {
    rng: ChaCha8Rng,
    words: Vec<&'static str>,
    authors: Vec<Author>,
    channels: Vec<ChannelId>,
    now_ms: u64,
    recent: Vec<Message>,
}

impl Corpus {
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let words: Vec<_> = WORDS.split_whitespace().collect();
        let roles: Vec<_> = (0..12).map(|_| RoleId::new(GUILD + rng.random_range(1..1u64 << 40))).collect();
        let channels = (0..CHANNELS).map(|_| ChannelId::new(GUILD + rng.random_range(1..1u64 << 42))).collect();
        let authors = (0..MEMBERS).map(|_| author(&mut rng, &words, &roles)).collect();
        Self { rng, words, authors, channels, now_ms: 1_790_000_000_000, recent: Vec::new() }
    }

    fn snowflake(&mut self) -> u64 {
        self.now_ms += self.rng.random_range(1..2_000);
        ((self.now_ms - 1_420_070_400_000) << 22) | self.rng.random_range(0..1 << 22)
    }

    /// A few talk most.
    fn author(&mut self) -> usize {
        let skew = self.rng.random::<f64>();
        ((skew * skew * skew) * MEMBERS as f64) as usize
    }

    /// The next event.
    pub fn event(&mut self) -> Event {
        match self.rng.random_range(0..100) {
            0..62 => self.message(),
            62..82 => self.typing(),
            82..92 => self.reaction(),
            92..97 => self.edit(),
            _ => self.deletion(),
        }
    }

    pub fn message(&mut self) -> Event {
        let author = self.author();
        let referenced = if self.recent.is_empty() || !self.rng.random_bool(0.12) {
            None
        } else {
            self.recent.choose(&mut self.rng).cloned()
        };
        let id = MessageId::new(self.snowflake());
        let mentions = if self.rng.random_bool(0.08) { vec![self.author()] } else { Vec::new() };
        let mut content = self.text();
        for mentioned in &mentions {
            content = format!("<@{}> {content}", self.authors[*mentioned].user.id);
        }
        let nonce = serde_json::from_value(serde_json::json!((id.get() - 5_000).to_string())).expect("a nonce");
        let message = Message {
            id,
            channel_id: *self.channels.choose(&mut self.rng).expect("channels"),
            kind: MessageType::Default,
            author: self.authors[author].user.clone(),
            content,
            timestamp: id.timestamp(),
            edited_timestamp: None,
            tts: false,
            mention_everyone: false,
            mentions: mentions.into_iter().map(|m| self.authors[m].user.clone()).collect(),
            mention_roles: Vec::new(),
            attachments: Vec::new(),
            embeds: Vec::new(),
            reactions: Vec::new(),
            nonce: Some(nonce),
            pinned: false,
            flags: MessageFlags::empty(),
            components: Vec::new(),
            webhook_id: None,
            application_id: None,
            message_reference: None,
            call: None,
            referenced_message: referenced.map(|m| Some(Box::new(Message { referenced_message: None, ..m }))),
        };
        self.recent.push(message.clone());
        if self.recent.len() > 50 {
            self.recent.remove(0);
        }
        Event::MessageCreate(Box::new(self.in_guild(message, author)))
    }

    fn in_guild(&self, message: Message, author: usize) -> MessageEvent {
        MessageEvent {
            message,
            guild_id: Some(GuildId::new(GUILD)),
            member: Some(Member { user: None, ..self.authors[author].member.clone() }),
            channel_type: 0,
        }
    }

    fn text(&mut self) -> String {
        // Most lines are short, some are long.
        let words = (2.0 + self.rng.random::<f64>().powi(3) * 50.0) as usize;
        let mut text = String::new();
        for n in 0..words {
            // Zipf: the word of rank r about 1/r times as often.
            let rank = (self.words.len() as f64).powf(self.rng.random::<f64>()) as usize - 1;
            if n > 0 {
                text.push_str(if self.rng.random_bool(0.08) { ", " } else { " " });
            }
            text.push_str(self.words[rank]);
        }
        match self.rng.random_range(0..20) {
            0..3 => text.push('?'),
            3..5 => text.push_str(" \u{1f602}"),
            5 => {
                let token: String = (0..11).map(|_| char::from(self.rng.random_range(b'a'..=b'z'))).collect();
                text.push_str(&format!(" https://youtu.be/{token}"));
            }
            _ => {}
        }
        text
    }

    pub fn typing(&mut self) -> Event {
        let author = self.author();
        self.snowflake();
        Event::TypingStart(TypingStart {
            channel_id: *self.channels.choose(&mut self.rng).expect("channels"),
            guild_id: Some(GuildId::new(GUILD)),
            user_id: self.authors[author].user.id,
            timestamp: (self.now_ms / 1_000) as i64,
            member: Some(self.authors[author].member.clone()),
        })
    }

    /// Typing in a DM: the smallest event that comes often.
    pub fn typing_in_dm(&mut self) -> Event {
        let Event::TypingStart(typing) = self.typing() else { unreachable!("typing") };
        Event::TypingStart(TypingStart { guild_id: None, member: None, ..typing })
    }

    fn reaction(&mut self) -> Event {
        let Some(message) = self.recent.choose(&mut self.rng).cloned() else { return self.typing() };
        let author = self.author();
        let name = ["\u{1f44d}", "\u{2764}\u{fe0f}", "\u{1f602}", "\u{1f389}"].choose(&mut self.rng).expect("emoji");
        Event::MessageReactionAdd(ReactionEvent {
            user_id: self.authors[author].user.id,
            channel_id: message.channel_id,
            message_id: message.id,
            guild_id: Some(GuildId::new(GUILD)),
            emoji: ReactionEmoji { id: None, name: Some((*name).to_owned()), animated: false },
            member: Some(self.authors[author].member.clone()),
            message_author_id: Some(message.author.id),
            burst: false,
            kind: 0,
        })
    }

    fn edit(&mut self) -> Event {
        let Some(mut message) = self.recent.choose(&mut self.rng).cloned() else { return self.typing() };
        message.content = self.text();
        message.edited_timestamp = Some(MessageId::new(self.snowflake()).timestamp());
        let author = self.authors.iter().position(|a| a.user.id == message.author.id).expect("an author");
        Event::MessageUpdate(Box::new(self.in_guild(message, author)))
    }

    pub fn deletion(&mut self) -> Event {
        let Some(message) = self.recent.choose(&mut self.rng) else { return self.typing() };
        Event::MessageDelete(MessageDelete {
            id: message.id,
            channel_id: message.channel_id,
            guild_id: Some(GuildId::new(GUILD)),
        })
    }
}

fn author(rng: &mut ChaCha8Rng, words: &[&str], roles: &[RoleId]) -> Author {
    let id = UserId::new(rng.random_range(80_000_000_000_000_000..1_400_000_000_000_000_000));
    let mut word = || *words.choose(rng).expect("words");
    let (first, second, nick) = (word(), word(), word());
    let hash = |rng: &mut ChaCha8Rng| format!("{:032x}", rng.random::<u128>());
    let user = User {
        global_name: rng.random_bool(0.8).then(|| format!("{first} {second}")),
        avatar: rng.random_bool(0.85).then(|| hash(rng)),
        public_flags: if rng.random_bool(0.3) { 1 << rng.random_range(6..18) } else { 0 },
        ..User::new(id, format!("{first}{second}{}", rng.random_range(0..1_000)))
    };
    let member = Member {
        user: Some(user.clone()),
        nick: rng.random_bool(0.3).then(|| nick.to_owned()),
        avatar: rng.random_bool(0.05).then(|| hash(rng)),
        banner: None,
        roles: (0..rng.random_range(0..5)).map(|_| *roles.choose(rng).expect("roles")).collect(),
        joined_at: Timestamp(rng.random_range(1_600_000_000_000_000..1_780_000_000_000_000)),
        premium_since: None,
        deaf: false,
        mute: false,
        flags: 0,
        pending: false,
        communication_disabled_until: None,
        permissions: None,
    };
    Author { user, member }
}
