//! Secrets in files: made once, readable by their owner alone.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rookery_region::OperatorSecret;
use rookery_token::{KeyId, SigningKey};

/// The operator's secret in a data folder.
pub const ADMIN_TOKEN: &str = "admin.token";
/// The key that signs tokens, in a data folder.
pub const TOKEN_KEY: &str = "token.key";
const ADMIN_TOKEN_VARIABLE: &str = "ROOKERY_ADMIN_TOKEN";

/// The key that signs tokens, made at the first start.
pub fn token_key(data_dir: &Path) -> anyhow::Result<SigningKey> {
    let path = data_dir.join(TOKEN_KEY);
    let bytes = read_or_make(&path, || SigningKey::generate(KeyId(1), &rand::random()).to_bytes().to_vec())?;
    SigningKey::from_bytes(&bytes).with_context(|| {
        format!("{} is damaged: restore it, or remove it and everybody must sign in again", path.display())
    })
}

/// The operator's secret, made at the first start.
pub fn admin_token(data_dir: &Path) -> anyhow::Result<String> {
    let path = data_dir.join(ADMIN_TOKEN);
    let bytes = read_or_make(&path, || hex(&rand::random::<[u8; 32]>()).into_bytes())?;
    read_secret(bytes, &path)
}

fn read_secret(bytes: Vec<u8>, path: &Path) -> anyhow::Result<String> {
    let secret = String::from_utf8(bytes).ok().map(|text| text.trim().to_owned());
    match secret {
        Some(secret) if secret.len() >= OperatorSecret::MIN_CHARS => Ok(secret),
        _ => bail!("{} holds no operator's secret (at least {} characters)", path.display(), OperatorSecret::MIN_CHARS),
    }
}

/// Leaves a copy of the secret where `rookery admin` finds it under the API's address.
pub fn leave_admin_token(api: &str, secret: &str) -> anyhow::Result<PathBuf> {
    let path = state_file(api)?;
    let folder = path.parent().context("the file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    write_secret(&path, secret.as_bytes())?;
    Ok(path)
}

/// The operator's secret for an API: from the file given, the environment, or what `rookery dev` left.
pub fn find_admin_token(given: Option<&Path>, api: &str) -> anyhow::Result<String> {
    if let Some(path) = given {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        return read_secret(bytes, path);
    }
    if let Ok(secret) = std::env::var(ADMIN_TOKEN_VARIABLE) {
        return Ok(secret.trim().to_owned());
    }
    let path = state_file(api)?;
    let bytes = fs::read(&path).with_context(|| {
        format!(
            "no operator's secret for {api}: give --token-file DIR/{ADMIN_TOKEN} or {ADMIN_TOKEN_VARIABLE} (looked for {} too)",
            path.display()
        )
    })?;
    read_secret(bytes, &path)
}

/// `$XDG_STATE_HOME/rookery/admin/<address>`, by default under `~/.local/state`.
fn state_file(api: &str) -> anyhow::Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = match state {
        Some(state) => state,
        None => {
            let home = std::env::var_os("HOME").context("neither XDG_STATE_HOME nor HOME is set")?;
            PathBuf::from(home).join(".local/state")
        }
    };
    let name: String = api
        .trim_end_matches('/')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' })
        .collect();
    Ok(state.join("rookery/admin").join(name))
}

fn read_or_make(path: &Path, make: impl FnOnce() -> Vec<u8>) -> anyhow::Result<Vec<u8>> {
    match fs::read(path) {
        Ok(bytes) => {
            let mode = fs::metadata(path)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                bail!("{} can be read by others (mode {mode:03o}): run `chmod 600 {}`", path.display(), path.display());
            }
            Ok(bytes)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes = make();
            write_secret(path, &bytes)?;
            Ok(bytes)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes whole or not at all: a new file beside, then a rename.
fn write_secret(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // Without its folder's entry the file would be gone after a power loss, and with a key all tokens.
        fs::File::open(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?
            .sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = admin_token(folder.path()).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(admin_token(folder.path()).unwrap(), first);
        let path = folder.path().join(ADMIN_TOKEN);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(token_key(folder.path()).unwrap().to_bytes(), token_key(folder.path()).unwrap().to_bytes());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(admin_token(folder.path()).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn a_short_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        fs::write(&path, "short").unwrap();
        assert!(find_admin_token(Some(&path), "http://x/api").is_err());
    }
}
