//! The migrations: the files of `schema/`, in order.

/// One file of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The number that its name begins with; the schema's version once it is done.
    pub version: u32,
    pub name: &'static str,
    pub text: &'static str,
}

impl Migration {
    /// Whether it changes the keyspace of leases.
    pub fn is_of_leases(&self) -> bool {
        self.name.ends_with("_leases")
    }

    /// Its statements, without comments.
    pub fn statements(&self) -> Vec<String> {
        let lines = self.text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let text = lines.collect::<Vec<_>>().join("\n");
        text.split(';').map(|statement| statement.trim().to_owned()).filter(|one| !one.is_empty()).collect()
    }
}

macro_rules! migrations {
    ($($name:literal),* $(,)?) => {
        /// Every migration of this binary.
        pub const MIGRATIONS: &[Migration] = &[$(Migration {
            version: number($name),
            name: $name,
            text: include_str!(concat!("../../../schema/", $name, ".cql")),
        }),*];
    };
}

/// The number at the head of a name.
const fn number(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let mut number = 0;
    let mut place = 0;
    while place < 4 {
        number = number * 10 + (bytes[place] - b'0') as u32;
        place += 1;
    }
    number
}

migrations! {
    "0001_leases",
    "0002_accounts",
    "0003_unique_keys",
    "0004_applications",
    "0005_applications_by_owner",
    "0006_guilds",
    "0007_channels",
    "0008_channels_by_guild",
    "0009_roles",
    "0010_members",
    "0011_guilds_by_user",
    "0012_bans",
    "0013_invites",
    "0014_invites_by_guild",
    "0015_messages",
    "0016_message_buckets",
    "0017_messages_by_author",
    "0018_reactions",
    "0019_reaction_counts",
    "0020_pins",
    "0021_dms",
    "0022_dms_by_user",
    "0023_read_states",
    "0024_operations",
    "0025_purges",
    "0026_messages_to_purge",
    "0027_retentions",
    "0028_imports",
    "0029_message_edits",
    "0030_attachments",
    "0031_emojis",
    "0032_webhooks",
    "0033_webhooks_by_guild",
    "0034_audit_log",
    "0035_audit_log_buckets",
    "0036_settings",
    "0037_relationships",
    "0038_outbox",
    "0039_outbox_hours",
    "0040_worker_leases",
    "0041_virtual_shard_leases",
    "0042_stage_instances",
    "0043_calls",
}

/// The version that this binary works with.
pub const EXPECTED: u32 = MIGRATIONS[MIGRATIONS.len() - 1].version;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_migration_and_numbers_have_no_gap() {
        let mut files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schema"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let names: Vec<String> = MIGRATIONS.iter().map(|migration| format!("{}.cql", migration.name)).collect();
        assert_eq!(files, names);
        let versions: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..=EXPECTED).collect::<Vec<_>>());
    }

    #[test]
    fn statements_can_be_repeated() {
        for migration in MIGRATIONS {
            let statements = migration.statements();
            assert!(!statements.is_empty(), "{}", migration.name);
            for statement in statements {
                // A column that is there is looked for before it is added.
                let is_known_before = super::super::added_column(&statement).is_some();
                assert!(is_known_before || statement.contains("IF NOT EXISTS"), "{}: {statement}", migration.name);
                assert!(!statement.contains("--"), "{}: {statement}", migration.name);
            }
        }
    }
}
