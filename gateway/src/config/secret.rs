//! A secret is given as it is, or as the name of a file that holds it, so that it need not stand in an environment.

use anyhow::{Context, Result, bail, ensure};
use std::fs::read_to_string;
use std::path::Path;

/// The secret of this name; `None` if it is not given. What stands around it in a file, such as the end of the line, does
/// not belong to it.
pub(super) fn read(name: &str, given: Option<&str>, file: Option<&Path>) -> Result<Option<String>> {
    match (given, file) {
        (Some(_), Some(_)) => bail!("{name} and {name}_FILE are both set: unset one of them"),
        (Some(secret), None) => Ok(Some(secret.to_owned())),
        (None, Some(path)) => {
            let text = read_to_string(path).with_context(|| format!("{name}_FILE: {}", path.display()))?;
            let secret = text.trim();
            ensure!(!secret.is_empty(), "{name}_FILE: {} is empty", path.display());
            Ok(Some(secret.to_owned()))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tempfile::NamedTempFile;

    #[test]
    fn a_secret_is_given_or_stands_in_a_file_and_never_both() {
        let mut file = NamedTempFile::new().unwrap();
        writeln!(file, "postgres://there").unwrap();
        let read = |given, file: Option<&Path>| read("KEYRING_URL", given, file);
        assert_eq!(read(None, None).unwrap(), None);
        assert_eq!(read(Some("postgres://here"), None).unwrap().as_deref(), Some("postgres://here"));
        assert_eq!(read(None, Some(file.path())).unwrap().as_deref(), Some("postgres://there"));
        let both = read(Some("postgres://here"), Some(file.path())).unwrap_err().to_string();
        assert!(both.starts_with("KEYRING_URL and KEYRING_URL_FILE"), "{both}");
    }

    #[test]
    fn a_file_that_holds_nothing_is_named() {
        let empty = NamedTempFile::new().unwrap();
        for path in [empty.path(), Path::new("/nowhere")] {
            let error = read("KEYRING_URL", None, Some(path)).unwrap_err();
            assert!(format!("{error:#}").starts_with("KEYRING_URL_FILE: "), "{error:#}");
        }
    }
}
