//! A region with a real store in a folder of its own, and a plain WebSocket client.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail where the test would")]
#![allow(dead_code)]

pub mod client;
pub mod gate;
pub mod wt_client;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rookery_core_db::{EmbeddedConfig, Store, Write};
use rookery_guild::Caller;
use rookery_model::call::{Call, CreateMessage, Reply};
use rookery_model::channel::{Channel, ChannelType};
use rookery_model::color::RoleColors;
use rookery_model::guild::GuildProperties;
use rookery_model::member::MemberRow;
use rookery_model::message::MessageFlags;
use rookery_model::role::Role;
use rookery_model::user::{Account, Application, User};
use rookery_model::{
    ApiError, ApplicationId, ChannelId, DeviceId, GuildId, MessageId, Permissions, RoleId, Timestamp, UserId,
};
use rookery_region::operator_secret::OperatorSecret;
use rookery_region::{Region, RegionConfig, RegionDeps, RunningRegion};
use rookery_token::{KeyId, SigningKey};

pub use client::Client;
pub use gate::Gate;

/// Flags of an application with all privileged intents.
pub const ALL_PRIVILEGED: u64 = 1 << 13 | 1 << 15 | 1 << 19;

/// A region under test.
pub struct World {
    pub running: RunningRegion,
    /// Holds back or fails what is written.
    pub gate: Arc<Gate>,
    folders: Vec<tempfile::TempDir>,
    next_id: AtomicU64,
}

/// Somebody with an account.
pub struct Person {
    pub account: Account,
    pub token: String,
}

impl Person {
    pub fn id(&self) -> UserId {
        self.account.user.id
    }
    pub fn caller(&self) -> Caller {
        Caller::new(self.account.user.clone())
    }
}

/// A guild with one text channel.
pub struct TestGuild {
    pub id: GuildId,
    pub channel: ChannelId,
}

impl World {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With WebTransport beside WebSocket.
    pub async fn with_webtransport(configure: impl FnOnce(&mut RegionConfig)) -> Self {
        let certificates = tempfile::tempdir().unwrap();
        let mut world = Self::with(|config| {
            config.gateway.webtransport.listen = Some("127.0.0.1:0".parse().unwrap());
            config.gateway.webtransport.self_signed_dir = Some(certificates.path().to_owned());
            configure(config);
        })
        .await;
        world.folders.push(certificates);
        world
    }

    pub async fn with(configure: impl FnOnce(&mut RegionConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_embedded(EmbeddedConfig::new(folder.path())).unwrap();
        let gate = Arc::new(Gate::new(store.engine()));
        let mut config = RegionConfig::default();
        // What else the machine does must not decide what a test sees.
        config.degradation.enabled = false;
        configure(&mut config);
        assert_eq!(config.mistakes(), Vec::<String>::new());
        let signing_key = SigningKey::generate(KeyId(1), &[7; 32]);
        let deps = RegionDeps {
            voice: None,
            peers: None,
            store: Store::new(gate.clone()),
            public_keys: signing_key.public_keys(),
            signing_key,
            operator_secret: OperatorSecret::new("x".repeat(32)).unwrap(),
        };
        let running = Region::start(config, deps).await.unwrap();
        Self { running, gate, folders: vec![folder], next_id: AtomicU64::new(1_000) }
    }

    pub fn region(&self) -> &Arc<Region> {
        &self.running.region
    }

    /// Rows that tests write themselves have low ids: below all that the region issues.
    fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) << 22
    }

    pub async fn write(&self, rows: Vec<Write>) {
        self.region().store.write(rows).await.unwrap();
    }

    pub async fn person(&self, name: &str) -> Person {
        let user = User::new(UserId::new(self.id()), name);
        self.enrol(Account { verified: true, ..Account::new(user) }).await
    }

    pub async fn bot(&self, name: &str, flags: u64) -> Person {
        let id = self.id();
        let user = User { bot: true, ..User::new(UserId::new(id), name) };
        let application = Application {
            id: ApplicationId::new(id),
            name: name.into(),
            description: String::new(),
            icon: None,
            owner_id: UserId::new(id),
            bot_public: true,
            bot_require_code_grant: false,
            flags,
            verify_key: String::new(),
            has_bot: true,
            created_at: Timestamp(0),
        };
        self.write(vec![Write::PutApplication(application)]).await;
        self.enrol(Account::new(user)).await
    }

    async fn enrol(&self, account: Account) -> Person {
        self.region().accounts.put(account.clone(), Vec::new()).await.unwrap();
        let token = self.region().accounts.issue(&account, DeviceId::new(self.id()), 1_700_000_000_000);
        Person { account, token }
    }

    /// A guild of these people, the first of whom owns it; everybody may do what the API's default is.
    pub async fn guild(&self, people: &[&Person]) -> TestGuild {
        let (id, channel) = (GuildId::new(self.id()), ChannelId::new(self.id()));
        let mut rows = vec![
            Write::PutGuild(GuildProperties::new(id, "test", people[0].id())),
            Write::PutRole { guild_id: id, role: role(RoleId::from(id), Permissions::DEFAULT_EVERYONE) },
            Write::PutChannel(text_channel(id, channel)),
        ];
        rows.extend(people.iter().map(|person| Write::PutMember(member(id, person.id()))));
        self.write(rows).await;
        TestGuild { id, channel }
    }

    pub async fn call(&self, person: &Person, channel: ChannelId, call: Call) -> Result<Reply, ApiError> {
        let owner = self.region().owners.of_channel(channel).await?;
        owner.call(person.caller(), call, None).await
    }

    pub async fn send(&self, person: &Person, channel: ChannelId, content: &str) -> Result<MessageId, ApiError> {
        match self.call(person, channel, Call::CreateMessage(Box::new(message(channel, content)))).await? {
            Reply::Message(message) => Ok(message.id),
            other => panic!("not a message: {other:?}"),
        }
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.running.gateway_addr, "/?v=10&encoding=json").await
    }

    /// A client that has its READY, and the GUILD_CREATE of every guild in it.
    pub async fn online(&self, person: &Person) -> Client {
        let mut client = self.connect().await;
        let ready = client.identify(&person.token, u64::from(u32::MAX) & ALL_INTENTS).await;
        for _ in ready["guilds"].as_array().unwrap() {
            client.expect("GUILD_CREATE").await;
        }
        client
    }
}

/// Every intent that the API names.
pub const ALL_INTENTS: u64 = 0x0331_ffff;

pub fn message(channel_id: ChannelId, content: &str) -> CreateMessage {
    CreateMessage {
        channel_id,
        content: content.into(),
        tts: false,
        embeds: Vec::new(),
        allowed_mentions: None,
        message_reference: None,
        fail_if_not_exists: true,
        nonce: None,
        enforce_nonce: false,
        flags: MessageFlags::empty(),
    }
}

pub fn text_channel(guild_id: GuildId, id: ChannelId) -> Channel {
    Channel { guild_id: Some(guild_id), name: Some("general".into()), ..Channel::new(id, ChannelType::GuildText) }
}

pub fn member(guild_id: GuildId, user_id: UserId) -> MemberRow {
    MemberRow {
        guild_id,
        user_id,
        nick: None,
        avatar: None,
        roles: Vec::new(),
        joined_at: Timestamp::from_unix_ms(1_600_000_000_000),
        deaf: false,
        mute: false,
        pending: false,
        flags: 0,
        communication_disabled_until: None,
    }
}

pub fn role(id: RoleId, permissions: Permissions) -> Role {
    Role {
        id,
        name: "role".into(),
        description: None,
        color: 0,
        colors: RoleColors::default(),
        hoist: false,
        icon: None,
        unicode_emoji: None,
        position: 0,
        permissions,
        managed: false,
        mentionable: false,
        flags: 0,
        tags: None,
    }
}
