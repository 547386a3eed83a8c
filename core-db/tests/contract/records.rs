//! What stands beside messages, guilds and users.

use rookery_core_db::dump::Section;
use rookery_core_db::{AttachmentRow, EmojiRow, MessageEditRow, SettingsRow, Store, StoreError, Write, file_removal};
use rookery_model::audit_log::AuditLogRow;
use rookery_model::embed::Embed;
use rookery_model::message::Emoji;
use rookery_model::outbox::{OutboxPlace, OutboxQueue, OutboxRow};
use rookery_model::relationship::{RelationshipRow, RelationshipType};
use rookery_model::stage_instance::StageInstance;
use rookery_model::webhook::WebhookRow;
use rookery_model::{
    AttachmentId, AuditLogEntryId, ChannelId, EmojiId, GuildId, MessageId, RoleId, Snowflake, StageInstanceId,
    Timestamp, UserId, WebhookId,
};

use crate::Factory;
use crate::lifecycle::restart;
use crate::sample::{BUCKET_MS, guild, id_at, message, text_channel};

const CHANNEL: ChannelId = ChannelId::new(5);
const GUILD: GuildId = GuildId::new(1);
/// The author of the sample's messages.
const AUTHOR: UserId = UserId::new(77);

async fn write(store: &Store, batch: impl IntoIterator<Item = Write>) {
    store.write(batch.into_iter().collect()).await.unwrap();
}

/// Waits until nothing is being removed.
async fn settled(store: &Store) {
    while store.stats().purges_pending > 0 {
        tokio::task::yield_now().await;
    }
}

/// How many rows of a section are stored, whoever may see them.
async fn stored(store: &Store, section: Section) -> usize {
    let page = store.dump(section, None, 100_000).await.unwrap();
    assert!(page.next.is_none() && page.damaged.is_empty());
    page.rows.len()
}

fn relationship(user: u64, other: u64, kind: RelationshipType) -> RelationshipRow {
    let nickname = other.is_multiple_of(2).then(|| format!("nick {other}"));
    RelationshipRow { user_id: UserId::new(user), other_id: UserId::new(other), kind, nickname, since: Timestamp(-7) }
}

pub async fn settings_and_relationships_are_kept_by_user(factory: impl Factory) {
    let store = factory.open().await;
    let user = UserId::new(1);
    let settings = |kind, body: &[u8]| SettingsRow { user_id: user, kind, body: body.to_vec() };
    write(&store, [settings(1, b"one"), settings(2, b""), settings(1, b"newer")].map(Write::PutSettings)).await;
    write(&store, [Write::PutSettings(SettingsRow { user_id: UserId::new(2), ..settings(1, b"another's") })]).await;
    let (friend, blocked) = (RelationshipType::Friend, RelationshipType::Blocked);
    let all = [relationship(1, 9, friend), relationship(1, 8, friend), relationship(8, 1, friend)];
    write(&store, all.into_iter().map(Write::PutRelationship)).await;
    write(&store, [Write::PutRelationship(relationship(1, 9, blocked))]).await;

    let store = restart(&factory, store).await;
    assert_eq!(store.settings(user, 1).await, Ok(Some(settings(1, b"newer"))));
    assert_eq!(store.settings(user, 2).await, Ok(Some(settings(2, b""))));
    assert_eq!(store.settings(user, 3).await, Ok(None));
    assert_eq!(store.relationships(user).await, Ok(vec![relationship(1, 8, friend), relationship(1, 9, blocked)]));
    write(&store, [Write::DeleteSettings(user)]).await;
    assert_eq!(store.settings(user, 1).await, Ok(None));
    assert_eq!(store.settings(user, 2).await, Ok(None));
    assert!(store.settings(UserId::new(2), 1).await.unwrap().is_some());
    write(&store, [Write::DeleteRelationship { user_id: user, other_id: UserId::new(8) }]).await;
    assert_eq!(store.relationships(user).await, Ok(vec![relationship(1, 9, blocked)]));
    assert_eq!(store.relationships(UserId::new(8)).await, Ok(vec![relationship(8, 1, friend)]));
}

fn emoji(guild: u64, id: u64, name: &str) -> EmojiRow {
    let emoji = Emoji {
        id: EmojiId::new(id),
        name: name.into(),
        roles: if id.is_multiple_of(2) { vec![RoleId::new(3), RoleId::new(4)] } else { Vec::new() },
        require_colons: true,
        managed: false,
        animated: id.is_multiple_of(2),
        available: true,
    };
    EmojiRow { guild_id: GuildId::new(guild), user_id: id.is_multiple_of(2).then(|| UserId::new(6)), emoji }
}

fn stage(guild: u64, channel: u64, topic: &str) -> StageInstance {
    StageInstance {
        id: StageInstanceId::new(channel + 100),
        guild_id: GuildId::new(guild),
        channel_id: ChannelId::new(channel),
        topic: topic.into(),
        privacy_level: 2,
        discoverable_disabled: channel.is_multiple_of(2),
        guild_scheduled_event_id: channel.is_multiple_of(2).then_some(Snowflake(9)),
    }
}

pub async fn live_stages_are_those_of_their_guild_and_go_with_their_channel(factory: impl Factory) {
    let store = factory.open().await;
    let guild_id = GUILD;
    write(&store, [stage(1, 12, "b"), stage(1, 11, "a"), stage(2, 13, "c")].map(Write::PutStageInstance)).await;
    write(&store, [Write::PutStageInstance(stage(1, 11, "renamed"))]).await;
    assert_eq!(store.guild_stage_instances(GUILD).await, Ok(vec![stage(1, 11, "renamed"), stage(1, 12, "b")]));
    write(&store, [Write::DeleteStageInstance { guild_id, channel_id: ChannelId::new(11) }]).await;
    assert_eq!(store.guild_stage_instances(GUILD).await, Ok(vec![stage(1, 12, "b")]));
    write(&store, [Write::DeleteChannel { guild_id: Some(guild_id), channel_id: ChannelId::new(12) }]).await;
    assert_eq!(store.guild_stage_instances(GUILD).await, Ok(vec![]));
    assert_eq!(store.guild_stage_instances(GuildId::new(2)).await, Ok(vec![stage(2, 13, "c")]));
}

pub async fn emojis_are_those_of_their_guild(factory: impl Factory) {
    let store = factory.open().await;
    write(&store, [emoji(1, 12, "b"), emoji(1, 11, "a"), emoji(2, 13, "c")].map(Write::PutEmoji)).await;
    write(&store, [Write::PutEmoji(emoji(1, 11, "renamed"))]).await;
    assert_eq!(store.guild_emojis(GUILD).await, Ok(vec![emoji(1, 11, "renamed"), emoji(1, 12, "b")]));
    write(&store, [Write::DeleteEmoji { guild_id: GUILD, emoji_id: EmojiId::new(11) }]).await;
    assert_eq!(store.guild_emojis(GUILD).await, Ok(vec![emoji(1, 12, "b")]));
    assert_eq!(store.guild_emojis(GuildId::new(3)).await, Ok(vec![]));
}

fn webhook(guild: u64, channel: u64, id: u64) -> WebhookRow {
    WebhookRow {
        id: WebhookId::new(id),
        kind: 1,
        guild_id: GuildId::new(guild),
        channel_id: ChannelId::new(channel),
        user_id: id.is_multiple_of(2).then(|| UserId::new(6)),
        name: Some(format!("webhook {id}")),
        avatar: None,
        token: Some("secret".into()),
        application_id: None,
        source_channel_id: (id % 2 == 1).then(|| ChannelId::new(70)),
        source_guild_id: (id % 2 == 1).then(|| GuildId::new(71)),
    }
}

pub async fn webhooks_are_found_by_id_by_guild_and_where_they_moved(factory: impl Factory) {
    let store = factory.open().await;
    let all = [webhook(1, 5, 22), webhook(1, 6, 21), webhook(1, 6, 23), webhook(2, 9, 24)];
    write(&store, all.clone().map(Write::PutWebhook)).await;
    write(&store, [5, 6].map(|channel| Write::PutChannel(text_channel(1, channel)))).await;
    assert_eq!(store.webhook(WebhookId::new(22)).await, Ok(Some(all[0].clone())));
    assert_eq!(store.webhook(WebhookId::new(99)).await, Ok(None));
    let ids = |webhooks: Vec<WebhookRow>| webhooks.into_iter().map(|webhook| webhook.id.get()).collect::<Vec<_>>();
    let of_channel = async |channel| ids(store.channel_webhooks(GUILD, ChannelId::new(channel)).await.unwrap());
    assert_eq!(ids(store.guild_webhooks(GUILD).await.unwrap()), [21, 22, 23]);
    assert_eq!((of_channel(5).await, of_channel(6).await), (vec![22], vec![21, 23]));
    // It moves, and nothing of it stays behind.
    write(&store, [Write::PutWebhook(webhook(1, 5, 21))]).await;
    assert_eq!((of_channel(5).await, of_channel(6).await), (vec![21, 22], vec![23]));
    write(&store, [Write::DeleteWebhook { guild_id: GUILD, webhook_id: WebhookId::new(22) }]).await;
    assert_eq!(store.webhook(WebhookId::new(22)).await, Ok(None));
    // A channel takes along those that write into it now.
    write(&store, [Write::DeleteChannel { guild_id: Some(GUILD), channel_id: CHANNEL }]).await;
    assert_eq!(store.webhook(WebhookId::new(21)).await, Ok(None));
    assert_eq!(ids(store.guild_webhooks(GUILD).await.unwrap()), [23]);
    settled(&store).await;
    assert_eq!(stored(&store, Section::Webhooks).await, 2);
}

fn entry(guild: u64, id: MessageId, action_type: u16) -> AuditLogRow {
    AuditLogRow {
        guild_id: GuildId::new(guild),
        id: AuditLogEntryId(id.0),
        user_id: Some(UserId::new(6)),
        target_id: action_type.is_multiple_of(2).then_some(id.0),
        action_type,
        reason: action_type.is_multiple_of(2).then(|| "reason 🦀".into()),
        changes: Some("[]".into()),
        options: None,
    }
}

pub async fn the_audit_log_is_newest_first_over_its_buckets(factory: impl Factory) {
    let store = factory.open().await;
    // Three buckets, and a hole between them.
    let ids: Vec<MessageId> =
        [0, 1, 4].iter().flat_map(|bucket| (0..40).map(move |n| id_at(bucket * BUCKET_MS, n))).collect();
    let entries: Vec<AuditLogRow> = ids.iter().zip(1..).map(|(id, action)| entry(1, *id, action)).collect();
    write(&store, entries.iter().rev().cloned().map(Write::PutAuditLogEntry)).await;
    write(&store, [Write::PutAuditLogEntry(entry(2, id_at(5, 0), u16::MAX))]).await;

    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let page = store.audit_log(GUILD, before, 17).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 17);
        before = Some(last.id);
        seen.extend(page);
    }
    seen.reverse();
    assert_eq!(seen, entries);
    assert_eq!(store.audit_log(GUILD, None, 1_000).await.unwrap().len(), 120);
    assert_eq!(store.audit_log(GUILD, None, 0).await, Ok(vec![]));
    assert_eq!(store.audit_log(GUILD, Some(entries[0].id), 10).await, Ok(vec![]));
    assert_eq!(store.audit_log(GuildId::new(2), None, 10).await, Ok(vec![entry(2, id_at(5, 0), u16::MAX)]));
}

pub async fn a_deleted_guild_takes_along_what_stands_beside_it(factory: impl Factory) {
    let store = factory.open().await;
    for id in [1, 2] {
        let webhooks = (0..1_200).map(|n| Write::PutWebhook(webhook(id, 5, id * 10_000 + n)));
        let entries = (0..3).map(|n| Write::PutAuditLogEntry(entry(id, id_at(n * BUCKET_MS, 0), 1)));
        write(&store, [Write::PutGuild(guild(id)), Write::PutEmoji(emoji(id, 11, "a"))]).await;
        write(&store, [Write::PutStageInstance(stage(id, 5, "a"))]).await;
        write(&store, webhooks.chain(entries)).await;
    }
    write(&store, [Write::DeleteGuild(GUILD)]).await;
    let gone = async |store: &Store| {
        assert_eq!(store.guild_emojis(GUILD).await, Ok(vec![]));
        assert_eq!(store.guild_stage_instances(GUILD).await, Ok(vec![]));
        assert_eq!(store.guild_webhooks(GUILD).await, Ok(vec![]));
        assert_eq!(store.webhook(WebhookId::new(10_003)).await, Ok(None));
        assert_eq!(store.audit_log(GUILD, None, 10).await, Ok(vec![]));
    };
    gone(&store).await;
    let store = restart(&factory, store).await;
    gone(&store).await;
    settled(&store).await;
    gone(&store).await;
    let mut left = Vec::new();
    for section in [Section::Emojis, Section::StageInstances, Section::Webhooks, Section::AuditLog] {
        left.push(stored(&store, section).await);
    }
    assert_eq!(left, [1, 1, 1_200, 3]);
    assert_eq!(store.guild_webhooks(GuildId::new(2)).await.unwrap().len(), 1_200);
}

fn former(message_id: MessageId, edited_at: i64) -> MessageEditRow {
    MessageEditRow {
        channel_id: CHANNEL,
        message_id,
        edited_at: Timestamp(edited_at),
        author_id: AUTHOR,
        content: format!("until {edited_at}"),
        attachments: Vec::new(),
        embeds: vec![Embed { title: Some("title".into()), ..Embed::default() }],
    }
}

pub async fn former_contents_are_newest_first_and_go_with_their_message(factory: impl Factory) {
    let store = factory.open().await;
    let (first, second) = (id_at(1, 0), id_at(BUCKET_MS, 0));
    write(&store, [first, second].map(|id| Write::PutMessage(message(5, id, "now")))).await;
    write(&store, [-3, 5, 4].map(|at| Write::PutMessageEdit(former(first, at)))).await;
    write(&store, [Write::PutMessageEdit(former(second, 9))]).await;
    assert_eq!(
        store.message_edits(CHANNEL, first, 10).await,
        Ok(vec![former(first, 5), former(first, 4), former(first, -3)])
    );
    assert_eq!(store.message_edits(CHANNEL, first, 2).await, Ok(vec![former(first, 5), former(first, 4)]));
    assert_eq!(store.message_edits(CHANNEL, first, 0).await, Ok(vec![]));
    write(&store, [Write::DeleteMessage { channel_id: CHANNEL, message_id: first }]).await;
    assert_eq!(store.message_edits(CHANNEL, first, 10).await, Ok(vec![]));
    assert_eq!(store.message_edits(CHANNEL, second, 10).await, Ok(vec![former(second, 9)]));
    write(&store, [Write::DeleteChannel { guild_id: None, channel_id: CHANNEL }]).await;
    assert_eq!(store.message_edits(CHANNEL, second, 10).await, Ok(vec![]));
    settled(&store).await;
    assert_eq!(stored(&store, Section::MessageEdits).await, 0);
}

pub async fn former_contents_are_erased_with_their_author(factory: impl Factory) {
    let store = factory.open().await;
    let (erased, later) = (id_at(1, 0), id_at(2, 0));
    for id in [erased, later] {
        write(&store, [Write::PutMessage(message(5, id, "now")), Write::PutMessageEdit(former(id, 1))]).await;
        write(&store, [Write::PutAttachment(attachment(id, id.get()))]).await;
    }
    write(&store, [Write::EraseUser { user_id: AUTHOR, through: erased }]).await;
    assert_eq!(store.message_edits(CHANNEL, erased, 10).await, Ok(vec![]));
    assert_eq!(store.attachments(CHANNEL, erased).await, Ok(vec![]));
    settled(&store).await;
    assert_eq!(stored(&store, Section::MessageEdits).await, 1);
    assert_eq!(stored(&store, Section::Attachments).await, 1);
    assert_eq!(objects(&store).await, [key(erased.get())]);
    assert_eq!(store.message_edits(CHANNEL, later, 10).await, Ok(vec![former(later, 1)]));
}

fn key(id: u64) -> String {
    format!("attachments/5/{id}/a.png")
}

fn attachment(message_id: MessageId, id: u64) -> AttachmentRow {
    AttachmentRow {
        channel_id: CHANNEL,
        message_id,
        id: AttachmentId::new(id),
        author_id: AUTHOR,
        filename: "a.png".into(),
        content_type: id.is_multiple_of(2).then(|| "image/png".into()),
        size_bytes: 1 << 33,
        object_key: key(id),
    }
}

/// The objects that are to be removed, in the order of their names.
async fn objects(store: &Store) -> Vec<String> {
    let rows = store.outbox(OutboxQueue::Files, None, 10_000).await.unwrap();
    let mut objects = Vec::new();
    for row in rows {
        let removal = file_removal(&row).unwrap();
        let stands = store.attachments(removal.channel_id, removal.message_id).await.unwrap();
        assert!(stands.iter().all(|attachment| attachment.id != removal.attachment_id));
        assert_eq!(row.place.id, removal.attachment_id.get());
        objects.push(removal.object_key);
    }
    objects.sort();
    objects
}

pub async fn files_that_go_leave_their_objects_to_be_removed(factory: impl Factory) {
    let store = factory.open().await;
    let (one, other) = (id_at(1, 0), id_at(BUCKET_MS, 0));
    let third = id_at(2 * BUCKET_MS, 0);
    write(&store, [one, other, third].map(|id| Write::PutMessage(message(5, id, "look")))).await;
    let files = [attachment(one, 102), attachment(one, 101), attachment(other, 103), attachment(third, 104)];
    write(&store, files.map(Write::PutAttachment)).await;
    assert_eq!(store.attachments(CHANNEL, one).await, Ok(vec![attachment(one, 101), attachment(one, 102)]));
    assert!(objects(&store).await.is_empty());

    write(&store, [Write::DeleteAttachment(attachment(one, 101))]).await;
    assert_eq!(store.attachments(CHANNEL, one).await, Ok(vec![attachment(one, 102)]));
    assert_eq!(objects(&store).await, [key(101)]);
    write(&store, [Write::DeleteMessage { channel_id: CHANNEL, message_id: one }]).await;
    assert_eq!(store.attachments(CHANNEL, one).await, Ok(vec![]));
    assert_eq!(objects(&store).await, [key(101), key(102)]);
    write(&store, [Write::DeleteChannel { guild_id: None, channel_id: CHANNEL }]).await;
    assert_eq!(store.attachments(CHANNEL, other).await, Ok(vec![]));

    let store = restart(&factory, store).await;
    settled(&store).await;
    assert_eq!(stored(&store, Section::Attachments).await, 0);
    // A removal that was cut off may queue an object twice.
    let mut left = objects(&store).await;
    left.dedup();
    assert_eq!(left, [101, 102, 103, 104].map(key));
}

pub async fn what_is_larger_than_it_may_be_is_refused(factory: impl Factory) {
    let store = factory.open().await;
    let settings = |bytes| Write::PutSettings(SettingsRow { user_id: AUTHOR, kind: 1, body: vec![7; bytes] });
    let work = |bytes| {
        let place = OutboxPlace { queued_at: Timestamp(1), id: 1 };
        Write::PutOutbox(OutboxRow { queue: OutboxQueue::Push, place, work: vec![7; bytes] })
    };
    let changes =
        |bytes| Write::PutAuditLogEntry(AuditLogRow { changes: Some("x".repeat(bytes)), ..entry(1, id_at(1, 0), 1) });
    for (fits, too_large) in [
        (settings(1024 * 1024), settings(1024 * 1024 + 1)),
        (work(64 * 1024), work(64 * 1024 + 1)),
        (changes(256 * 1024), changes(256 * 1024 + 1)),
    ] {
        match store.write(vec![too_large]).await {
            Err(StoreError::Invalid(words)) => assert!(words.contains("larger than"), "{words}"),
            other => panic!("{other:?}"),
        }
        store.write(vec![fits]).await.unwrap();
    }
}
