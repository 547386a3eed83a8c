//! `imports`: an import that was begun and not finished; at most one row.

use rookery_model::store::ImportRow;

use super::{Sink, Table, View};
use crate::key::Key;
use crate::{StoreError, row};

fn key() -> Key {
    Key::of(Table::Imports).kind(1)
}

pub fn put(sink: &mut impl Sink, import: &ImportRow) -> Result<(), StoreError> {
    sink.put(Table::Imports, key(), row::encode(import)?);
    Ok(())
}

pub fn delete(sink: &mut impl Sink) {
    sink.delete(Table::Imports, key());
}

pub fn get(view: &impl View) -> Result<Option<ImportRow>, StoreError> {
    let key = key();
    let row = view.get(Table::Imports, &key)?;
    row.map(|bytes| row::decode(Table::Imports, key.as_bytes(), &bytes)).transpose()
}
