//! `applications`: the homes of bots.

use rookery_model::ApplicationId;
use rookery_model::user::Application;

use super::prelude::*;

row! {
    application_id: i64,
    name: String,
    description: String,
    icon: Option<String>,
    owner_id: i64,
    bot_public: bool,
    bot_require_code_grant: bool,
    flags: i64,
    verify_key: String,
    has_bot: bool,
    created_at_us: i64,
}

/// The table's statements.
pub struct Applications {
    put: Statement,
    delete: Statement,
    get: Statement,
}

impl Applications {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Applications);
        let (put, delete, get) = tokio::try_join!(
            table.insert(Row::COLUMNS),
            table.delete("application_id = ?"),
            table.select(Row::COLUMNS, "application_id = ?"),
        )?;
        Ok(Self { put, delete, get })
    }

    pub fn put(&self, application: &Application, at: i64) -> Mutation {
        let Application {
            id,
            name,
            description,
            icon,
            owner_id,
            bot_public,
            bot_require_code_grant,
            flags,
            verify_key,
            has_bot,
            created_at,
        } = application;
        let row = Row {
            application_id: big(*id),
            name: name.clone(),
            description: description.clone(),
            icon: icon.clone(),
            owner_id: big(*owner_id),
            bot_public: *bot_public,
            bot_require_code_grant: *bot_require_code_grant,
            flags: flags.cast_signed(),
            verify_key: verify_key.clone(),
            has_bot: *has_bot,
            created_at_us: created_at.0,
        };
        self.put.with(Partition::Of(id.get(), 0), row.at(at))
    }

    pub fn delete(&self, id: ApplicationId, at: i64) -> Mutation {
        self.delete.with(Partition::Of(id.get(), 0), (at, big(id)))
    }

    pub async fn get(&self, calls: &Calls, id: ApplicationId) -> Result<Option<Application>, StoreError> {
        let row: Option<Row> = calls.row_from_anywhere(&self.get, (big(id),), Some(id.timestamp())).await?;
        Ok(row.map(application))
    }
}

pub fn application(row: Row) -> Application {
    Application {
        id: id(row.application_id),
        name: row.name,
        description: row.description,
        icon: row.icon,
        owner_id: id(row.owner_id),
        bot_public: row.bot_public,
        bot_require_code_grant: row.bot_require_code_grant,
        flags: row.flags.cast_unsigned(),
        verify_key: row.verify_key,
        has_bot: row.has_bot,
        created_at: Timestamp(row.created_at_us),
    }
}
