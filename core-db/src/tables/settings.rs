//! `settings`: the settings of a user, one row a set.

use rookery_model::UserId;
use rookery_model::store::SettingsRow;

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

/// The largest set, bytes.
const BODY_MAX_BYTES: usize = 1024 * 1024;

/// All settings of a user.
pub fn prefix(user_id: UserId) -> Key {
    Key::of(Table::Settings).id(user_id.get())
}

/// Refuses a set that is too large.
pub fn check(settings: &SettingsRow) -> Result<(), StoreError> {
    let bytes = settings.body.len();
    if bytes > BODY_MAX_BYTES {
        return Err(StoreError::Invalid(format!("settings of {bytes} bytes are larger than {BODY_MAX_BYTES}")));
    }
    Ok(())
}

pub fn put(sink: &mut impl Sink, settings: &SettingsRow) -> Result<(), StoreError> {
    check(settings)?;
    sink.put(Table::Settings, prefix(settings.user_id).kind(settings.kind), row::encode(settings)?);
    Ok(())
}

pub fn get(view: &impl View, user_id: UserId, kind: u8) -> Result<Option<SettingsRow>, StoreError> {
    let key = prefix(user_id).kind(kind);
    let row = view.get(Table::Settings, &key)?;
    row.map(|bytes| row::decode(Table::Settings, key.as_bytes(), &bytes)).transpose()
}
