//! `accounts`: users with what signs them in.

use futures_util::{StreamExt as _, TryStreamExt as _};
use rookery_model::UserId;
use rookery_model::user::{Account, User};

use super::prelude::*;

row! {
    user_id: i64,
    username: String,
    discriminator: String,
    global_name: Option<String>,
    avatar: Option<String>,
    banner: Option<String>,
    accent_color: Blank<i32>,
    bot: bool,
    system: bool,
    public_flags: i64,
    flags: i64,
    email: Option<String>,
    verified: bool,
    password_hash: Option<String>,
    token_epoch: i32,
    revoked_devices: Vec<i64>,
    locale: Option<String>,
    bio: String,
}

/// How many accounts are asked for at a time.
const CONCURRENT: usize = 64;

/// The table's statements.
pub struct Accounts {
    put: Statement,
    get: Statement,
}

impl Accounts {
    pub async fn prepare(preparer: Preparer<'_>) -> Result<Self, OpenError> {
        let table = preparer.table(Table::Accounts);
        let (put, get) = tokio::try_join!(table.insert(Row::COLUMNS), table.select(Row::COLUMNS, "user_id = ?"))?;
        Ok(Self { put, get })
    }

    pub fn put(&self, account: &Account, at: i64) -> Mutation {
        // Every field by name: a new one does not compile until it is stored.
        let Account { user, email, verified, password_hash, token_epoch, revoked_devices, locale, bio } = account;
        let User {
            id,
            username,
            discriminator,
            global_name,
            avatar,
            banner,
            accent_color,
            avatar_decoration_data: None | Some(()),
            bot,
            system,
            public_flags,
            flags,
            primary_guild: None | Some(()),
        } = user;
        let row = Row {
            user_id: big(*id),
            username: username.clone(),
            discriminator: discriminator.clone(),
            global_name: global_name.clone(),
            avatar: avatar.clone(),
            banner: banner.clone(),
            accent_color: blank_int(*accent_color),
            bot: *bot,
            system: *system,
            public_flags: public_flags.cast_signed(),
            flags: flags.cast_signed(),
            email: email.clone(),
            verified: *verified,
            password_hash: password_hash.clone(),
            token_epoch: token_epoch.cast_signed(),
            revoked_devices: bigs(revoked_devices),
            locale: locale.clone(),
            bio: bio.clone(),
        };
        self.put.with(Partition::Of(id.get(), 0), row.at(at))
    }

    /// Accounts in the order asked for; missing ones are left out.
    pub async fn get(&self, calls: &Calls, ids: &[UserId]) -> Result<Vec<Account>, StoreError> {
        if let [id] = ids {
            let row: Option<Row> = calls.row_from_anywhere(&self.get, (big(*id),), Some(id.timestamp())).await?;
            return Ok(row.map(account).into_iter().collect());
        }
        // Owned ids: a stream of borrowing futures is not general enough to be sent between threads.
        let ids: Vec<i64> = ids.iter().copied().map(big).collect();
        futures_util::stream::iter(ids)
            .map(|id| calls.row::<Row>(&self.get, (id,)))
            .buffered(CONCURRENT)
            .try_filter_map(|row| async move { Ok(row.map(account)) })
            .try_collect()
            .await
    }
}

pub fn account(row: Row) -> Account {
    Account {
        user: User {
            id: id(row.user_id),
            username: row.username,
            discriminator: row.discriminator,
            global_name: row.global_name,
            avatar: row.avatar,
            banner: row.banner,
            accent_color: int_or_none(row.accent_color),
            avatar_decoration_data: None,
            bot: row.bot,
            system: row.system,
            public_flags: row.public_flags.cast_unsigned(),
            flags: row.flags.cast_unsigned(),
            primary_guild: None,
        },
        email: row.email,
        verified: row.verified,
        password_hash: row.password_hash,
        token_epoch: row.token_epoch.cast_unsigned(),
        revoked_devices: ids(row.revoked_devices),
        locale: row.locale,
        bio: row.bio,
    }
}
