//! Who operates the installation: whoever can read its admin token, and whoever was made an operator.
//!
//! The token is a file in the data directory, readable by its owner alone, so whoever may read the log's own files may
//! operate it. It makes the first operator; what operators do stands in the log with their id.

use crate::auth::{Viewer, bearer};
use crate::backend::App;
use crate::error::{ApiError, ErrorName};
use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::rand;
use axum::extract::FromRequestParts;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use events::{Role, UserId};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const FILE: &str = "admin.token";
const TOKEN_BYTES: usize = 32;
/// Its owner reads and writes it; nobody else does anything.
const MODE: u32 = 0o600;

/// The installation's admin token.
pub struct AdminToken(String);

/// Who operates; `by` is `None` for whoever holds the admin token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operator {
    pub(crate) by: Option<UserId>,
}

impl AdminToken {
    /// Where it is, below the data directory.
    pub fn path(data: &Path) -> PathBuf {
        data.join(FILE)
    }

    /// The one of this data directory, made now if there is none. One that others can read is refused.
    pub fn of(data: &Path) -> Result<Self> {
        let path = Self::path(data);
        match Self::read(&path) {
            Err(error) if is_missing(&error) => {
                Self::make(data, &path).with_context(|| format!("cannot make {}", path.display()))?;
                Self::read(&path)
            }
            read => read,
        }
    }

    /// What stands in a file.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let metadata = fs::metadata(path).with_context(|| format!("cannot read {name}"))?;
        let mode = metadata.permissions().mode() & 0o777;
        ensure!(mode & 0o077 == 0, "{name} can be read by others (its mode is {mode:o}): chmod {MODE:o} {name}");
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        let is_one = BASE64_URL_SAFE_NO_PAD.decode(text.trim()).is_ok_and(|bytes| bytes.len() == TOKEN_BYTES);
        if !is_one {
            bail!("{name} holds no admin token; without the file a new one is made");
        }
        Ok(Self(text.trim().to_owned()))
    }

    fn make(data: &Path, path: &Path) -> Result<()> {
        fs::create_dir_all(data)?;
        let mut secret = [0; TOKEN_BYTES];
        rand::fill(&mut secret)?;
        let new = path.with_extension("new");
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&new)?;
        writeln!(file, "{}", BASE64_URL_SAFE_NO_PAD.encode(secret))?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        Ok(File::open(data)?.sync_all()?)
    }

    /// For `Authorization: Bearer`.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether a request brings it.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        authorization.and_then(bearer).is_some_and(|token| self.is(token))
    }

    fn is(&self, token: &str) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_bytes(), token.as_bytes()).is_ok()
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

impl FromRequestParts<App> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if app.admin_token.is_in(&parts.headers) {
            return Ok(Self { by: None });
        }
        let caller = Viewer::from_request_parts(parts, app).await?.0.ok_or_else(ApiError::no_token)?;
        match app.models.users.role(caller.user).await? {
            Role::Operator => Ok(Self { by: Some(caller.user) }),
            Role::User => Err(ApiError::new(ErrorName::Forbidden, "This is for operators")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_for_its_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let token = AdminToken::of(&data).unwrap();
        let mode = fs::metadata(AdminToken::path(&data)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let again = AdminToken::of(&data).unwrap();
        assert!(again.is(token.text()) && !again.is("") && !again.is(&token.text()[1..]));
    }

    #[test]
    fn one_that_others_can_read_or_that_is_none_is_refused_by_name() {
        let home = tempfile::tempdir().unwrap();
        AdminToken::of(home.path()).unwrap();
        let path = AdminToken::path(home.path());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let open = AdminToken::of(home.path()).err().unwrap().to_string();
        assert!(open.contains("admin.token") && open.contains("640"), "{open}");
        fs::set_permissions(&path, fs::Permissions::from_mode(MODE)).unwrap();
        fs::write(&path, "secret").unwrap();
        assert!(AdminToken::of(home.path()).err().unwrap().to_string().contains("holds no admin token"));
    }
}
