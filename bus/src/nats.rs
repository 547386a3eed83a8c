//! The bus over NATS.
//!
//! `async-nats` keeps the connection and makes it anew. What it does not do stands here: its queue of commands counts
//! messages and not bytes and lets a publisher wait, and it does not say to a subscriber what it lost.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::BusConfig;
use crate::events::{self, Dropped};
use crate::queue::{Queue, Subscription};
use crate::subject::Subject;
use crate::{ConnectError, Health, PublishError, SubscribeError};

/// Commands between our queue and the connection: few, because their bytes are not counted.
const CLIENT_CAPACITY: usize = 16;
/// Messages between the connection and a subscription's queue, whose pump is always quick.
const PUMP_CAPACITY: usize = 4_096;

/// A node's connection.
pub(crate) struct Connection {
    client: Client,
    config: BusConfig,
    shared: Arc<Shared>,
    /// Gone when the bus is drained.
    outgoing: Mutex<Option<mpsc::Sender<(Subject, Bytes)>>>,
    sender: Mutex<Option<tokio::task::JoinHandle<()>>>,
    sender_abort: AbortHandle,
}

/// What the client's callback reaches.
struct Shared {
    health: watch::Sender<Health>,
    queues: Mutex<Vec<Weak<Queue>>>,
    waiting_bytes: AtomicUsize,
    complaints: AtomicU64,
}

impl Connection {
    pub(crate) async fn open(config: &BusConfig, name: &str) -> Result<Arc<Self>, ConnectError> {
        let shared = Arc::new(Shared {
            health: watch::Sender::new(Health::Disconnected),
            queues: Mutex::default(),
            waiting_bytes: AtomicUsize::new(0),
            complaints: AtomicU64::new(0),
        });
        let client = options(config, name, &shared).await?.connect(config.urls.as_slice()).await?;
        let (outgoing, queue) = mpsc::channel(config.publish_queue_messages);
        let sender = tokio::spawn(send(client.clone(), Arc::clone(&shared), queue));
        Ok(Arc::new(Self {
            client,
            config: config.clone(),
            shared,
            outgoing: Mutex::new(Some(outgoing)),
            sender_abort: sender.abort_handle(),
            sender: Mutex::new(Some(sender)),
        }))
    }

    pub(crate) fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let outgoing = self.outgoing.lock();
        let Some(outgoing) = outgoing.as_ref() else { return Err(PublishError::Closed) };
        // What waits for a server that is not there would arrive long after its time.
        if self.client.connection_state() != State::Connected {
            return Err(PublishError::Disconnected);
        }
        let size = payload.len();
        let waiting = &self.shared.waiting_bytes;
        if waiting.fetch_add(size, Ordering::Relaxed) + size > self.config.publish_queue_bytes {
            waiting.fetch_sub(size, Ordering::Relaxed);
            return Err(PublishError::Full);
        }
        outgoing.try_send((subject.clone(), payload)).map_err(|error| {
            waiting.fetch_sub(size, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => PublishError::Full,
                mpsc::error::TrySendError::Closed(_) => PublishError::Closed,
            }
        })
    }

    pub(crate) async fn subscribe(&self, subject: &Subject) -> Result<Subscription, SubscribeError> {
        if self.outgoing.lock().is_none() {
            return Err(SubscribeError::Closed);
        }
        let limit_ms = self.config.connect_timeout_ms;
        let subscribed = timeout(Duration::from_millis(limit_ms), self.client.subscribe(subject.nats())).await;
        let mut messages = match subscribed {
            Ok(Ok(messages)) => messages,
            // The subject is valid, so it is the connection's task that is gone.
            Ok(Err(_)) => return Err(SubscribeError::Closed),
            Err(_) => return Err(SubscribeError::TimedOut(limit_ms)),
        };
        let queue = Queue::new(&self.config);
        self.shared.add(&queue);
        let filled = Arc::clone(&queue);
        let pump = tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                filled.push(message.payload);
            }
            filled.close();
        });
        Ok(Subscription::new(queue, Some(pump.abort_handle())))
    }

    pub(crate) fn watch_health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    pub(crate) fn max_payload_bytes(&self) -> usize {
        match self.client.max_payload() {
            0 => self.config.max_payload_bytes,
            limit => limit.min(self.config.max_payload_bytes),
        }
    }

    pub(crate) async fn drain(&self, deadline: Duration) {
        let deadline = Instant::now() + deadline;
        let sender = {
            // Without a publisher the sender ends when its queue is empty.
            *self.outgoing.lock() = None;
            self.sender.lock().take()
        };
        if let Some(mut sender) = sender
            && timeout_at(deadline, &mut sender).await.is_err()
        {
            sender.abort();
        }
        let mut health = self.watch_health();
        // The library gives what it holds to the socket before it closes.
        let drained = timeout_at(deadline, async {
            self.client.drain().await.ok();
            health.wait_for(|health| *health == Health::Closed).await.ok();
        });
        if drained.await.is_err() {
            self.shared.complain("it did not close in time");
        }
        self.shared.close();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.sender_abort.abort();
        self.shared.close();
    }
}

impl Shared {
    fn add(&self, queue: &Arc<Queue>) {
        let mut queues = self.queues.lock();
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(queue));
        // `close` may have been here before.
        if *self.health.borrow() == Health::Closed {
            queue.close();
        }
    }

    fn for_each_queue(&self, act: impl Fn(&Queue)) {
        self.queues.lock().iter().filter_map(Weak::upgrade).for_each(|queue| act(&queue));
    }

    /// Changes the health unless the bus is closed; whether it did.
    fn set_health(&self, health: Health) -> bool {
        self.health.send_if_modified(|current| {
            let changes = *current != health && *current != Health::Closed;
            if changes {
                *current = health;
            }
            changes
        })
    }

    fn close(&self) {
        if self.set_health(Health::Closed) {
            events::Closed.emit();
        }
        self.for_each_queue(Queue::close);
    }

    fn handle(&self, event: &Event) {
        match event {
            Event::Connected => {
                if self.set_health(Health::Connected) {
                    events::Connected.emit();
                }
            }
            Event::Disconnected => {
                if self.set_health(Health::Disconnected) {
                    events::Disconnected.emit();
                }
                self.for_each_queue(Queue::interrupt);
            }
            // The library does not say whose message it dropped.
            Event::SlowConsumer(_) => {
                Dropped { reason: "client", count: 1 }.emit();
                self.for_each_queue(Queue::interrupt);
            }
            Event::Closed => self.close(),
            Event::ServerError(error) => self.complain(&error.to_string()),
            Event::ClientError(error) => self.complain(&error.to_string()),
            Event::LameDuckMode => tracing::info!("the bus's server is about to end"),
            Event::Draining => {}
        }
    }

    fn complain(&self, error: &str) {
        events::Complaint { error, earlier: self.complaints.fetch_add(1, Ordering::Relaxed) }.emit();
    }
}

/// Hands the queue's messages to the connection, which lets it wait when the socket is full.
async fn send(client: Client, shared: Arc<Shared>, mut queue: mpsc::Receiver<(Subject, Bytes)>) {
    while let Some((subject, payload)) = queue.recv().await {
        let size = payload.len();
        let result = client.publish(subject.nats(), payload).await;
        shared.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
        if result.is_err() {
            Dropped { reason: "client", count: 1 }.emit();
        }
    }
}

async fn options(config: &BusConfig, name: &str, shared: &Arc<Shared>) -> Result<ConnectOptions, ConnectError> {
    let shared = Arc::downgrade(shared);
    let longest_ms = config.reconnect_delay_max_ms;
    let mut options = ConnectOptions::new()
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(Duration::from_millis(config.connect_timeout_ms))
        .ping_interval(Duration::from_millis(config.ping_interval_ms))
        .client_capacity(CLIENT_CAPACITY)
        .subscription_capacity(PUMP_CAPACITY)
        // `Subject` has only such as are valid.
        .skip_subject_validation(true)
        .require_tls(config.requires_tls())
        .reconnect_delay_callback(move |attempts| reconnect_delay(attempts, longest_ms))
        .event_callback(move |event| {
            let shared = shared.clone();
            async move {
                if let Some(shared) = shared.upgrade() {
                    shared.handle(&event);
                }
            }
        });
    if let Some(file) = &config.credentials_file {
        options = options.credentials_file(file).await.map_err(|source| unusable(file, source))?;
    }
    for file in [&config.tls_ca_file, &config.tls_cert_file, &config.tls_key_file].into_iter().flatten() {
        // The library reads them at each connection and would complain for ever.
        tokio::fs::metadata(file).await.map_err(|source| unusable(file, source))?;
    }
    if let Some(file) = &config.tls_ca_file {
        options = options.add_root_certificates(file.clone());
    }
    if let (Some(cert), Some(key)) = (&config.tls_cert_file, &config.tls_key_file) {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    Ok(options)
}

fn unusable(file: &Path, source: std::io::Error) -> ConnectError {
    ConnectError::File { file: file.display().to_string(), source }
}

/// 0, 20, 40, 80 … ms.
fn reconnect_delay(attempts: usize, longest_ms: u64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(2)).unwrap_or(u32::MAX).min(16);
    let delay_ms = if attempts <= 1 { 0 } else { 20 << doublings };
    Duration::from_millis(delay_ms.min(longest_ms))
}
