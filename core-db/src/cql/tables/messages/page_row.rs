//! A message's row as it is read: column by column, straight into the model's type.
//!
//! The driver's derived rows look every column of every row up by its name, and pages are what is read most.

use rookery_model::message::{MessageFlags, MessageRow, MessageType};
use rookery_model::{ChannelId, MessageId, Timestamp, UserId};
use scylla::deserialize::row::{ColumnIterator, DeserializeRow};
use scylla::deserialize::value::DeserializeValue;
use scylla::deserialize::{DeserializationError, TypeCheckError};
use scylla::frame::response::result::ColumnSpec;

use super::{MARK_EVERYONE, MARK_PINNED, MARK_TTS, Row};
use crate::cql::calls::chain;
use crate::cql::value::{Blank, id, id_or_none, ids, unnested};

/// A row of a page.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are messages, handed on one by one")]
pub enum PageRow {
    Message(MessageRow),
    /// Deleted or incomplete; only where it stands.
    Hidden(MessageId),
}

impl<'frame, 'metadata> DeserializeRow<'frame, 'metadata> for PageRow {
    fn type_check(specs: &[ColumnSpec<'_>]) -> Result<(), TypeCheckError> {
        <Row as DeserializeRow<'_, '_>>::type_check(specs)?;
        match specs.iter().map(ColumnSpec::name).eq(Row::COLUMNS.iter().copied()) {
            true => Ok(()),
            false => Err(TypeCheckError::new(NotUnderstood("columns in another order".into()))),
        }
    }

    fn deserialize(columns: ColumnIterator<'frame, 'metadata>) -> Result<Self, DeserializationError> {
        let mut columns = Columns(columns);
        let channel_id: ChannelId = id(columns.next::<i64>()?);
        let _bucket: i32 = columns.next()?;
        let message_id: MessageId = id(columns.next::<i64>()?);
        let author_id: Option<UserId> = id_or_none(columns.next()?);
        let kind: Option<i8> = columns.next()?;
        let content: &str = columns.next()?;
        let edited_timestamp = columns.next::<Blank<i64>>()?.0.map(Timestamp);
        let marks = columns.next::<Option<i8>>()?.unwrap_or(0);
        let mention_users = ids(columns.next()?);
        let mention_roles = ids(columns.next()?);
        let attachments: Blank<&[u8]> = columns.next()?;
        let embeds: Blank<&[u8]> = columns.next()?;
        let flags = columns.next::<Blank<i64>>()?.0.unwrap_or(0);
        let message_reference: Blank<&[u8]> = columns.next()?;
        let application_id = id_or_none(columns.next()?);
        let webhook_id = id_or_none(columns.next()?);
        let nonce: Blank<&[u8]> = columns.next()?;
        let deleted: Blank<bool> = columns.next()?;
        let call: Blank<&[u8]> = columns.next()?;
        if deleted.0 == Some(true) {
            return Ok(Self::Hidden(message_id));
        }
        let (Some(author_id), Some(kind)) = (author_id, kind) else {
            // What is left of a row whose other columns were removed: nobody put it like this, nobody sees it.
            metrics::counter!("rookery_store_partial_rows_total").increment(1);
            return Ok(Self::Hidden(message_id));
        };
        Ok(Self::Message(MessageRow {
            channel_id,
            id: message_id,
            author_id,
            kind: MessageType::try_from(kind.cast_unsigned()).map_err(not_understood)?,
            content: content.to_owned(),
            edited_timestamp,
            tts: marks & MARK_TTS != 0,
            mention_everyone: marks & MARK_EVERYONE != 0,
            mention_users,
            mention_roles,
            attachments: unnested("attachments", &attachments).map_err(not_understood)?.unwrap_or_default(),
            embeds: unnested("embeds", &embeds).map_err(not_understood)?.unwrap_or_default(),
            flags: MessageFlags::from_bits_retain(flags.cast_unsigned()),
            pinned: marks & MARK_PINNED != 0,
            message_reference: unnested("message_reference", &message_reference).map_err(not_understood)?,
            application_id,
            webhook_id,
            nonce: unnested("nonce", &nonce).map_err(not_understood)?,
            call: unnested("call", &call).map_err(not_understood)?,
        }))
    }
}

/// The columns of a row that are left.
struct Columns<'frame, 'metadata>(ColumnIterator<'frame, 'metadata>);

impl<'frame, 'metadata> Columns<'frame, 'metadata> {
    fn next<T: DeserializeValue<'frame, 'metadata>>(&mut self) -> Result<T, DeserializationError> {
        let column = self.0.next().ok_or_else(|| not_understood("columns are missing".into()))??;
        let failed = |error| not_understood(format!("column {}: {}", column.spec.name(), chain(&error)));
        T::deserialize(column.spec.typ(), column.slice).map_err(failed)
    }
}

/// What is wrong with a row.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotUnderstood(String);

fn not_understood(reason: String) -> DeserializationError {
    DeserializationError::new(NotUnderstood(reason))
}
