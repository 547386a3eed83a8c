//! Sizes and counts that the API documents; those that operators may change are configuration with these defaults.

/// Characters of a message's content.
pub const MESSAGE_CONTENT_MAX_CHARS: usize = 2_000;
/// Embeds of a message.
pub const MESSAGE_EMBEDS_MAX: usize = 10;
/// Characters of all embeds of a message together.
pub const EMBEDS_TOTAL_MAX_CHARS: usize = 6_000;
pub const EMBED_TITLE_MAX_CHARS: usize = 256;
pub const EMBED_DESCRIPTION_MAX_CHARS: usize = 4_096;
pub const EMBED_FIELDS_MAX: usize = 25;
pub const EMBED_FIELD_NAME_MAX_CHARS: usize = 256;
pub const EMBED_FIELD_VALUE_MAX_CHARS: usize = 1_024;
pub const EMBED_FOOTER_MAX_CHARS: usize = 2_048;
pub const EMBED_AUTHOR_MAX_CHARS: usize = 256;
pub const URL_MAX_CHARS: usize = 2_048;
pub const NONCE_MAX_CHARS: usize = 25;
/// Different emojis on a message.
pub const MESSAGE_REACTIONS_MAX: usize = 20;
pub const CHANNEL_PINS_MAX: usize = 50;
pub const CHANNEL_TOPIC_MAX_CHARS: usize = 1_024;
pub const STAGE_TOPIC_MAX_CHARS: usize = 120;
pub const VOICE_CHANNEL_STATUS_MAX_CHARS: usize = 500;
/// Members of a voice channel with a limit; 0 is none.
pub const VOICE_USER_LIMIT_MAX: u32 = 99;
/// Likewise of a stage.
pub const STAGE_USER_LIMIT_MAX: u32 = 10_000;
/// Those who may watch a stream of Go Live at once.
pub const STREAM_VIEWERS_MAX: u32 = 50;
pub const NAME_MAX_CHARS: usize = 100;
pub const GUILD_NAME_MIN_CHARS: usize = 2;
pub const GUILD_CHANNELS_MAX: usize = 500;
pub const GUILD_ROLES_MAX: usize = 250;
pub const GUILD_MEMBERS_MAX: usize = 1_000_000;
pub const GUILD_INVITES_MAX: usize = 1_000;
pub const CATEGORY_CHANNELS_MAX: usize = 50;
pub const USER_GUILDS_MAX: usize = 100;
pub const NICK_MAX_CHARS: usize = 32;
pub const USERNAME_MIN_CHARS: usize = 2;
pub const USERNAME_MAX_CHARS: usize = 32;
pub const PASSWORD_MIN_CHARS: usize = 8;
pub const PASSWORD_MAX_CHARS: usize = 72;
pub const SLOWMODE_MAX_SECONDS: u32 = 21_600;
/// 60 days.
pub const INVITE_MAX_AGE_SECONDS: u32 = 5_184_000;
pub const INVITE_MAX_USES: u32 = 100;
pub const GROUP_DM_RECIPIENTS_MAX: usize = 10;
pub const MESSAGE_PAGE_MAX: usize = 100;
pub const BULK_DELETE_MAX: usize = 100;
/// Messages older than this cannot be bulk deleted.
pub const BULK_DELETE_MAX_AGE_MS: u64 = 14 * 24 * 3_600 * 1_000;
pub const AUDIT_LOG_REASON_MAX_CHARS: usize = 512;
/// Bytes of a REST body that goes through the component.
pub const REQUEST_BODY_MAX_BYTES: usize = 1_048_576;

/// Bytes of a payload that a gateway client may send.
pub const GATEWAY_PAYLOAD_MAX_BYTES: usize = 4_096;
/// Payloads that a gateway client may send in [`GATEWAY_RATE_WINDOW_MS`].
pub const GATEWAY_RATE_EVENTS: u32 = 120;
pub const GATEWAY_RATE_WINDOW_MS: u64 = 60_000;
pub const HEARTBEAT_INTERVAL_MS: u64 = 41_250;
pub const RESUME_WINDOW_MS: u64 = 300_000;
/// What a bot is told to shard by.
pub const GUILDS_PER_SHARD: u32 = 1_000;
/// Beyond, a shard is closed with 4011.
pub const GUILDS_PER_SHARD_MAX: u32 = 2_500;
/// Members of one GUILD_MEMBERS_CHUNK.
pub const MEMBERS_CHUNK_MAX: usize = 1_000;
/// Members that REQUEST_GUILD_MEMBERS gives to whoever names or searches them.
pub const REQUESTED_MEMBERS_MAX: usize = 100;
/// How long the presence of a session is kept whose connection is gone.
pub const PRESENCE_EXPIRY_MS: u64 = 90_000;
/// Updates of its presence that a session may send in [`PRESENCE_WINDOW_MS`].
pub const PRESENCE_UPDATES: u32 = 5;
pub const PRESENCE_WINDOW_MS: u64 = 20_000;
/// Relationships of one user.
pub const RELATIONSHIPS_MAX: usize = 1_000;
