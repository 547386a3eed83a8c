//! The bare driver, as benchmarks hold it against the store: the same statements, nodes and consistency, and what the
//! driver does by itself around them.

use rookery_model::message::MessageRow;
use rookery_model::{ChannelId, MessageId};
use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::unprepared;

use super::calls::chain;
use super::clock::now_us;
use super::connect::{Cluster, connect, execution_error, prepare_error};
use super::policies::{self, Levels};
use super::tables::{messages, messages_by_author};
use super::value::big;
use crate::bucket::bucket_of;
use crate::config::CqlConfig;
use crate::{OpenError, StoreError};

/// The driver with three prepared statements, without a store around it.
pub struct BareDriver {
    session: Session,
    put_message: PreparedStatement,
    put_by_author: PreparedStatement,
    page: PreparedStatement,
}

/// The rows of a message, ready to be written.
pub struct BareMessage {
    message: messages::Put,
    by_author: messages_by_author::Put,
}

impl BareMessage {
    /// The two rows of every message.
    ///
    /// The index row of its bucket is not among them: the store writes it once in ten days of a channel.
    pub fn prepare(message: &MessageRow) -> Result<Self, StoreError> {
        let at = now_us();
        let by_author = messages_by_author::Row {
            author_id: big(message.author_id),
            bucket: bucket_of(message.id).cast_signed(),
            message_id: big(message.id),
            channel_id: big(message.channel_id),
        };
        Ok(Self { message: messages::row(message)?.at(at), by_author: by_author.at(at) })
    }
}

impl BareDriver {
    /// Connects to a cluster whose schema is there already.
    pub async fn open(config: CqlConfig) -> Result<Self, OpenError> {
        let Cluster { session, config, .. } = connect(config).await?;
        let profile = profile(&config);
        let prepare = async |text: String| {
            let mut statement = unprepared::Statement::new(text.as_str());
            statement.set_execution_profile_handle(Some(profile.clone()));
            statement.set_is_idempotent(true);
            session.prepare(statement).await.map_err(|error| prepare_error(&config, &text, &error))
        };
        let keyspace = &config.keyspace;
        let put_message = prepare(insert(keyspace, "messages", messages::Row::COLUMNS)).await?;
        let put_by_author = prepare(insert(keyspace, "messages_by_author", messages_by_author::Row::COLUMNS)).await?;
        let columns = messages::Row::COLUMNS.join(", ");
        let of = "channel_id = ? AND bucket = ? AND message_id < ? LIMIT ?";
        let page = prepare(format!("SELECT {columns} FROM {keyspace}.messages WHERE {of}")).await?;
        Ok(Self { session, put_message, put_by_author, page })
    }

    /// Writes a message's rows one after the other, as the store does: a row that no index finds must never be.
    pub async fn insert(&self, message: &BareMessage) -> Result<(), StoreError> {
        let BareMessage { message, by_author } = message;
        let unknown = |error| StoreError::Unknown(chain(&error));
        self.session.execute_unpaged(&self.put_by_author, by_author).await.map_err(unknown)?;
        self.session.execute_unpaged(&self.put_message, message).await.map_err(unknown)?;
        Ok(())
    }

    /// Writes them both at once, which is cheaper and leaves such rows after a crash.
    pub async fn insert_at_once(&self, message: &BareMessage) -> Result<(), StoreError> {
        let BareMessage { message, by_author } = message;
        let put_message = self.session.execute_unpaged(&self.put_message, message);
        let put_by_author = self.session.execute_unpaged(&self.put_by_author, by_author);
        tokio::try_join!(put_message, put_by_author).map_err(|error| StoreError::Unknown(chain(&error)))?;
        Ok(())
    }

    /// How many rows there are below a message, up to a limit, in its bucket; decoded as the driver does.
    pub async fn messages_below(
        &self,
        channel_id: ChannelId,
        below: MessageId,
        limit: i32,
    ) -> Result<usize, StoreError> {
        let values = (big(channel_id), bucket_of(below).cast_signed(), big(below), limit);
        let failed = |error: &dyn std::error::Error| StoreError::Unavailable(chain(error));
        let result = self.session.execute_unpaged(&self.page, values).await.map_err(|error| failed(&error))?;
        let rows = result.into_rows_result().map_err(|error| failed(&error))?;
        let rows = rows.rows::<messages::Row>().map_err(|error| failed(&error))?;
        let rows: Vec<messages::Row> = rows.collect::<Result<_, _>>().map_err(|error| failed(&error))?;
        Ok(std::hint::black_box(rows).len())
    }
}

/// Drops the keyspaces of a configuration with all that is in them.
pub async fn drop_keyspaces(config: CqlConfig) -> Result<(), OpenError> {
    let Cluster { session, config, .. } = connect(config).await?;
    for keyspace in [config.keyspace.clone(), config.lease_keyspace()] {
        let text = format!("DROP KEYSPACE IF EXISTS {keyspace}");
        let dropped = session.query_unpaged(text.as_str(), ()).await;
        dropped.map_err(|error| execution_error(&config, &text, &error))?;
    }
    Ok(())
}

fn insert(keyspace: &str, table: &str, columns: &[&str]) -> String {
    let marks = vec!["?"; columns.len()].join(", ");
    format!("INSERT INTO {keyspace}.{table} ({}) VALUES ({marks}) USING TIMESTAMP ?", columns.join(", "))
}

/// The store's consistency and nodes; everything else is the driver's default.
fn profile(config: &CqlConfig) -> ExecutionProfileHandle {
    ExecutionProfile::builder()
        .consistency(Levels::of(config.durability).quorum)
        .load_balancing_policy(policies::nodes(config))
        .build()
        .into_handle_with_label("floor".into())
}
