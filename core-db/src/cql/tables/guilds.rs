//! `guilds`: what a guild says of itself.

use rookery_model::GuildId;
use rookery_model::guild::GuildProperties;

use super::prelude::*;

row! {
    guild_id: i64,
    name: String,
    icon: Option<String>,
    description: Option<String>,
    home_header: Option<String>,
    splash: Option<String>,
    discovery_splash: Option<String>,
    banner: Option<String>,
    owner_id: i64,
    application_id: Blank<i64>,
    region: String,
    afk_channel_id: Blank<i64>,
    afk_timeout: i32,
    system_channel_id: Blank<i64>,
    system_channel_flags: i32,
    widget_enabled: bool,
    widget_channel_id: Blank<i64>,
    verification_level: i8,
    default_message_notifications: i8,
    mfa_level: i8,
    explicit_content_filter: i8,
    features: Vec<String>,
    max_presences: Blank<i32>,
    max_members: i32,
    max_stage_video_channel_users: i32,
    max_video_channel_users: i32,
    vanity_url_code: Option<String>,
    premium_tier: i8,
    premium_subscription_count: i32,
    preferred_locale: String,
    rules_channel_id: Blank<i64>,
    public_updates_channel_id: Blank<i64>,
    safety_alerts_channel_id: Blank<i64>,
    premium_progress_bar_enabled: bool,
    nsfw: bool,
    nsfw_level: i8,
}

/// The table's statements.
pub struct Guilds {
    put: Statement,
    delete: Statement,
    get: Statement,
}

impl Guilds {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Guilds);
        let (put, delete, get) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("guild_id = ?"),
            table.select(Row::COLUMNS, "guild_id = ?"),
        )?;
        Ok(Self { put, delete, get })
    }

    pub fn put(&self, guild: &GuildProperties, at: i64) -> Mutation {
        self.put.with(Partition::Of(guild.id.get(), 0), row(guild).at(at))
    }

    pub fn delete(&self, id: GuildId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(id.get(), 0), (at, big(id)))
    }

    pub async fn get(&self, calls: &Calls, id: GuildId) -> Result<Option<GuildProperties>, StoreError> {
        let row: Option<Row> = calls.row_from_anywhere(&self.get, (big(id),), Some(id.timestamp())).await?;
        Ok(row.map(guild))
    }
}

fn row(guild: &GuildProperties) -> Row {
    // Every field by name: a new one does not compile until it is stored.
    let GuildProperties {
        id,
        name,
        icon,
        description,
        home_header,
        splash,
        discovery_splash,
        banner,
        owner_id,
        application_id,
        region,
        afk_channel_id,
        afk_timeout,
        system_channel_id,
        system_channel_flags,
        widget_enabled,
        widget_channel_id,
        verification_level,
        default_message_notifications,
        mfa_level,
        explicit_content_filter,
        features,
        max_presences,
        max_members,
        max_stage_video_channel_users,
        max_video_channel_users,
        vanity_url_code,
        premium_tier,
        premium_subscription_count,
        preferred_locale,
        rules_channel_id,
        public_updates_channel_id,
        safety_alerts_channel_id,
        premium_progress_bar_enabled,
        nsfw,
        nsfw_level,
    } = guild;
    Row {
        guild_id: big(*id),
        name: name.clone(),
        icon: icon.clone(),
        description: description.clone(),
        home_header: home_header.clone(),
        splash: splash.clone(),
        discovery_splash: discovery_splash.clone(),
        banner: banner.clone(),
        owner_id: big(*owner_id),
        application_id: blank_id(*application_id),
        region: region.clone(),
        afk_channel_id: blank_id(*afk_channel_id),
        afk_timeout: afk_timeout.cast_signed(),
        system_channel_id: blank_id(*system_channel_id),
        system_channel_flags: system_channel_flags.cast_signed(),
        widget_enabled: *widget_enabled,
        widget_channel_id: blank_id(*widget_channel_id),
        verification_level: verification_level.cast_signed(),
        default_message_notifications: default_message_notifications.cast_signed(),
        mfa_level: mfa_level.cast_signed(),
        explicit_content_filter: explicit_content_filter.cast_signed(),
        features: features.clone(),
        max_presences: blank_int(*max_presences),
        max_members: max_members.cast_signed(),
        max_stage_video_channel_users: max_stage_video_channel_users.cast_signed(),
        max_video_channel_users: max_video_channel_users.cast_signed(),
        vanity_url_code: vanity_url_code.clone(),
        premium_tier: premium_tier.cast_signed(),
        premium_subscription_count: premium_subscription_count.cast_signed(),
        preferred_locale: preferred_locale.clone(),
        rules_channel_id: blank_id(*rules_channel_id),
        public_updates_channel_id: blank_id(*public_updates_channel_id),
        safety_alerts_channel_id: blank_id(*safety_alerts_channel_id),
        premium_progress_bar_enabled: *premium_progress_bar_enabled,
        nsfw: *nsfw,
        nsfw_level: nsfw_level.cast_signed(),
    }
}

pub fn guild(row: Row) -> GuildProperties {
    GuildProperties {
        id: id(row.guild_id),
        name: row.name,
        icon: row.icon,
        description: row.description,
        home_header: row.home_header,
        splash: row.splash,
        discovery_splash: row.discovery_splash,
        banner: row.banner,
        owner_id: id(row.owner_id),
        application_id: id_or_none(row.application_id),
        region: row.region,
        afk_channel_id: id_or_none(row.afk_channel_id),
        afk_timeout: row.afk_timeout.cast_unsigned(),
        system_channel_id: id_or_none(row.system_channel_id),
        system_channel_flags: row.system_channel_flags.cast_unsigned(),
        widget_enabled: row.widget_enabled,
        widget_channel_id: id_or_none(row.widget_channel_id),
        verification_level: row.verification_level.cast_unsigned(),
        default_message_notifications: row.default_message_notifications.cast_unsigned(),
        mfa_level: row.mfa_level.cast_unsigned(),
        explicit_content_filter: row.explicit_content_filter.cast_unsigned(),
        features: row.features,
        max_presences: int_or_none(row.max_presences),
        max_members: row.max_members.cast_unsigned(),
        max_stage_video_channel_users: row.max_stage_video_channel_users.cast_unsigned(),
        max_video_channel_users: row.max_video_channel_users.cast_unsigned(),
        vanity_url_code: row.vanity_url_code,
        premium_tier: row.premium_tier.cast_unsigned(),
        premium_subscription_count: row.premium_subscription_count.cast_unsigned(),
        preferred_locale: row.preferred_locale,
        rules_channel_id: id_or_none(row.rules_channel_id),
        public_updates_channel_id: id_or_none(row.public_updates_channel_id),
        safety_alerts_channel_id: id_or_none(row.safety_alerts_channel_id),
        premium_progress_bar_enabled: row.premium_progress_bar_enabled,
        nsfw: row.nsfw,
        nsfw_level: row.nsfw_level.cast_unsigned(),
    }
}
