//! `applications`: the homes of bots.

use rookery_model::user::Application;
use rookery_model::{ApplicationId, UserId};

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

fn key(id: ApplicationId) -> Key {
    Key::of(Table::Applications).id(id.get())
}

pub fn put(sink: &mut impl Sink, application: &Application) -> Result<(), StoreError> {
    sink.put(Table::Applications, key(application.id), row::encode(application)?);
    super::applications_by_owner::put(sink, application);
    Ok(())
}

pub fn delete(sink: &mut impl Sink, id: ApplicationId, owner_id: UserId) {
    sink.delete(Table::Applications, key(id));
    super::applications_by_owner::delete(sink, owner_id, id);
}

pub fn get(view: &impl View, id: ApplicationId) -> Result<Option<Application>, StoreError> {
    let key = key(id);
    let row = view.get(Table::Applications, &key)?;
    row.map(|bytes| row::decode(Table::Applications, key.as_bytes(), &bytes)).transpose()
}
