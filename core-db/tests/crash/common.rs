//! Rows, children and logs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use rookery_core_db::{EmbeddedConfig, MessageRange, OperationRow, ReadState, Store, Write};
use rookery_model::id::EPOCH_MS;
use rookery_model::message::{MessageFlags, MessageRow, MessageType};
use rookery_model::{ChannelId, MessageId, Snowflake, UserId};

/// The folder that a child works in.
const CHILD_FOLDER: &str = "ROOKERY_STORE_CHILD_FOLDER";

/// The id of the n-th message of a channel.
pub fn id_of(number: u64) -> MessageId {
    MessageId(Snowflake::floor_of_ms(EPOCH_MS + number))
}

/// The number of a message.
pub fn number_of(id: MessageId) -> u64 {
    id.0.unix_ms() - EPOCH_MS
}

/// What the n-th message says: of varying length, so that batches end everywhere in the blocks of a file.
pub fn content_of(number: u64) -> String {
    format!("message {number} {}", "x".repeat((number % 97) as usize * 7))
}

/// The n-th message of a channel with what is written beside it, all in one batch.
pub fn batch(channel: u64, number: u64) -> Vec<Write> {
    let channel_id = ChannelId::new(channel);
    let message = MessageRow {
        channel_id,
        id: id_of(number),
        author_id: UserId::new(channel),
        kind: MessageType::Default,
        content: content_of(number),
        edited_timestamp: None,
        tts: false,
        mention_everyone: false,
        mention_users: Vec::new(),
        mention_roles: Vec::new(),
        attachments: Vec::new(),
        embeds: Vec::new(),
        flags: MessageFlags::default(),
        pinned: false,
        message_reference: None,
        application_id: None,
        webhook_id: None,
        nonce: None,
        call: None,
    };
    let state = ReadState {
        user_id: UserId::new(channel),
        channel_id,
        last_message_id: Some(id_of(number)),
        mention_count: 0,
        last_pin_timestamp: None,
    };
    let operation = OperationRow { id: operation_id(channel, number), user_id: None, reply: b"reply".to_vec() };
    vec![Write::PutMessage(message), Write::PutReadState(state), Write::PutOperation(operation)]
}

/// The id of the operation of a message: of this century, so that it is not purged.
pub fn operation_id(channel: u64, number: u64) -> Vec<u8> {
    [[0x7f; 8], channel.to_be_bytes(), number.to_be_bytes()].concat()
}

/// Opens a store.
pub fn open(folder: &Path) -> Store {
    Store::open_embedded(EmbeddedConfig::new(folder)).unwrap()
}

/// All messages of a channel, oldest first.
pub async fn all(store: &Store, channel: u64) -> Vec<MessageRow> {
    let mut messages = Vec::new();
    let mut range = MessageRange::Latest;
    loop {
        let page = store.messages(ChannelId::new(channel), range, 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        range = MessageRange::Before(last.id);
        messages.extend_from_slice(&page);
    }
    messages.reverse();
    messages
}

/// Checks that a channel holds the messages `1..=n` for some `n`, each once, in order and whole, and answers `n`.
pub async fn check_channel(store: &Store, channel: u64) -> u64 {
    let messages = all(store, channel).await;
    for (message, expected) in messages.iter().zip(1..) {
        assert_eq!(number_of(message.id), expected, "channel {channel}");
        assert_eq!(message.content, content_of(expected), "channel {channel}");
    }
    let last = messages.len() as u64;
    // A batch is there as a whole or not at all.
    let state = store.read_state(UserId::new(channel), ChannelId::new(channel)).await.unwrap();
    assert_eq!(state.and_then(|state| state.last_message_id), (last > 0).then(|| id_of(last)));
    assert!(last == 0 || store.operation(&operation_id(channel, last)).await.unwrap().is_some());
    assert_eq!(store.operation(&operation_id(channel, last + 1)).await.unwrap(), None);
    assert_eq!(store.messages_of_author(UserId::new(channel), None, 200_000).await.unwrap().len() as u64, last);
    last
}

/// The newest journal of a store.
pub fn newest_journal(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder.join("embedded")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let journals = paths.filter(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    let number = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    journals.max_by_key(number).unwrap()
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs one test of this binary as a child, on a folder; its lines can be read.
pub fn child(test: &str, folder: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(CHILD_FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

/// The folder, in a child.
pub fn child_folder() -> Option<PathBuf> {
    std::env::var_os(CHILD_FOLDER).map(PathBuf::from)
}

/// The next line of a child; none when it ended.
pub fn line(lines: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let bytes = lines.read_line(&mut line).unwrap();
    // A line without its end was cut off by the kill.
    (bytes > 0 && line.ends_with('\n')).then(|| line.trim_end().to_owned())
}

/// Collects the log of this thread while something runs.
pub fn logged<T>(run: impl FnOnce() -> T) -> (T, String) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(move || Sink(writer.clone()))
        .finish();
    let answer = tracing::subscriber::with_default(subscriber, run);
    let text = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    (answer, text)
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A stream of numbers out of a seed (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut state = self.0;
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (state ^ (state >> 31)) % end
    }
}
