//! `applications_by_owner`: which applications a user owns.

use rookery_model::user::Application;
use rookery_model::{ApplicationId, UserId};

use super::{Sink, Table, View, applications, marker};
use crate::key::{Key, Parts};
use crate::{StoreError, row};

fn prefix(owner: UserId) -> Key {
    Key::of(Table::ApplicationsByOwner).id(owner.get())
}

pub fn put(sink: &mut impl Sink, application: &Application) {
    sink.put(Table::ApplicationsByOwner, prefix(application.owner_id).id(application.id.get()), marker());
}

pub fn delete(sink: &mut impl Sink, owner: UserId, id: ApplicationId) {
    sink.delete(Table::ApplicationsByOwner, prefix(owner).id(id.get()));
}

/// The applications of an owner, oldest first.
pub fn of(view: &impl View, owner: UserId) -> Result<Vec<Application>, StoreError> {
    let prefix = prefix(owner);
    let mut found = Vec::new();
    for (key, _) in view.scan(Table::ApplicationsByOwner, &prefix, usize::MAX)? {
        let id = Parts::after(&key, &prefix).and_then(|mut parts| parts.id());
        let id = id.ok_or_else(|| row::corrupt(Table::ApplicationsByOwner, &key, "key without an id"))?;
        // The row of a former owner stays behind when an application changes hands.
        found.extend(
            applications::get(view, ApplicationId::new(id))?.filter(|application| application.owner_id == owner),
        );
    }
    Ok(found)
}
