//! A keyring that does not fit the log, or cannot be used: the server says what is wrong and ends, and with the right
//! keyring in its place again everything is there.

use anyhow::{Result, ensure};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tidings_tests::audit::{self, Audit};
use tidings_tests::child::{Environment, HttpClient, Server, tidings};
use tidings_tests::load::{Write, Writer};
use tidings_tests::simulation::dice::Dice;
use tidings_tests::snapshot::Snapshot;

/// Somebody without rights, where the tests run as root.
const NOBODY: u32 = 65_534;

/// A log in which two people have posted, and keyrings that were right once.
struct Used {
    home: TempDir,
    books: Vec<Write>,
    /// As it was when the first of the two had registered.
    older: Snapshot,
    right: Snapshot,
}

impl Used {
    async fn make() -> Result<Self> {
        let dice = Dice::new(1);
        let home = tempfile::tempdir()?;
        let (data, keyring) = (home.path().join("data"), home.path().join("data/keyring"));
        let mut server = Server::start(&data).await?;
        let client = HttpClient::new(server.url());
        let mut ada = Writer::register(&client, "ada", &dice).await?;
        ada.post().await?;
        let older = Snapshot::at_rest(&keyring);
        let mut bob = Writer::register(&client, "bob", &dice).await?;
        bob.post().await?;
        server.kill()?;
        let right = Snapshot::at_rest(&keyring);
        Ok(Self { home, books: [ada.books, bob.books].concat(), older, right })
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn keyring(&self) -> PathBuf {
        self.data().join("keyring")
    }

    /// The server does not serve with the keyring as it is, and says these things about it.
    async fn is_refused(&self, says: &[&str]) -> Result<()> {
        let mut server = Server::begin(&self.data(), Environment::new())?;
        let (status, said) = server.ended().await?;
        let last = said.lines().next_back().unwrap_or_default();
        ensure!(!status.success(), "it has served");
        for part in says {
            ensure!(last.contains(part), "`{part}` is not in: {last}");
        }
        Ok(())
    }

    /// With the right keyring everything is there.
    async fn is_whole_again(&self) -> Result<()> {
        fs::remove_dir_all(self.keyring())?;
        self.right.restore(&self.keyring());
        self.is_whole().await
    }

    async fn is_whole(&self) -> Result<()> {
        let mut server = Server::start(&self.data()).await?;
        audit::ask_api(&HttpClient::new(server.url()), &self.books).await?;
        server.kill()?;
        Audit::of_log(&self.data(), &self.books).await?.is_clean()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_from_before_the_last_registration() -> Result<()> {
    let used = Used::make().await?;
    fs::remove_dir_all(used.keyring())?;
    used.older.restore(&used.keyring());
    used.is_refused(&["the keyring does not know key", "older than the log"]).await?;
    // The file of keys alone is noticed before anything is read.
    fs::remove_dir_all(used.keyring())?;
    used.right.restore(&used.keyring());
    let older = used.older.files().iter().find(|file| file.path.ends_with("keys")).map(|file| &file.content[..]);
    fs::write(used.keyring().join("keys"), older.unwrap_or_default())?;
    used.is_refused(&["keyring/keys holds 1 keys, but held 2", "backup"]).await?;
    used.is_whole_again().await?;
    println!("keyrings: an older one, whole or in part, is refused; with the right one everything is there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_of_another_log() -> Result<()> {
    let (used, other) = (Used::make().await?, Used::make().await?);
    fs::remove_dir_all(used.keyring())?;
    other.right.restore(&used.keyring());
    used.is_refused(&["keyring/secrets", "belongs to the log"]).await?;
    for (file, says) in [
        ("secrets", ["keyring/secrets", "belongs to the log"]),
        ("count", ["keyring/count", "of another log"]),
        ("keys", ["the keyring does not know key", "belongs to another log"]),
    ] {
        fs::remove_dir_all(used.keyring())?;
        used.right.restore(&used.keyring());
        fs::copy(other.keyring().join(file), used.keyring().join(file))?;
        used.is_refused(&says).await?;
    }
    used.is_whole_again().await?;
    println!("keyrings: another log's, whole or any file of it, is refused; with the right one everything is there");
    Ok(())
}

/// A key that was being written when the power failed, and that nobody was told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_last_key_is_cut() -> Result<()> {
    let used = Used::make().await?;
    let keys = used.keyring().join("keys");
    let good = fs::read(&keys)?;
    for torn in [&[7_u8; 1][..], &[7; 63], &[0; 64], &[0; 4_096]] {
        fs::write(&keys, [&good, torn].concat())?;
        used.is_whole().await?;
        ensure!(fs::read(&keys)? == good, "{} bytes were to be cut", torn.len());
    }
    // A whole slot that is none was written by nobody: a slot does not lie across two sectors.
    fs::write(&keys, [&good[..], &[7; 64]].concat())?;
    used.is_refused(&["keyring/keys: slot 2 does not match its checksum"]).await?;
    used.is_whole_again().await?;
    println!("keyrings: 4 torn last keys are cut, one that cannot be torn is refused");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_that_may_not_be_read_or_written() -> Result<()> {
    let used = Used::make().await?;
    for (part, mode) in [("keys", 0o000), ("keys", 0o400), ("secrets", 0o000), ("count", 0o400), ("", 0o000)] {
        let path = used.keyring().join(part);
        let before = fs::metadata(&path)?.permissions();
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        let said = without_rights(used.home.path())?;
        fs::set_permissions(&path, before)?;
        let name = Path::new("keyring").join(part);
        let named = said.contains(name.to_string_lossy().trim_end_matches('/'));
        let named = named && said.contains("Permission denied") && said.contains("must be able to read and write");
        ensure!(named, "{part} {mode:o}: {said}");
    }
    used.is_whole().await?;
    println!("keyrings: 5 that may not be read or written are refused");
    Ok(())
}

/// What the server says when it runs as somebody who is not above permissions.
fn without_rights(home: &Path) -> Result<String> {
    let mut program = tidings();
    let is_root = fs::metadata("/proc/self")?.uid() == 0;
    if is_root {
        // Where the program was built others may not come.
        program = home.join("tidings");
        if !program.exists() {
            fs::copy(tidings(), &program)?;
            fs::set_permissions(home, Permissions::from_mode(0o755))?;
        }
        give_away(&home.join("data"))?;
    }
    let mut command = Command::new(program);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(home.join("data"));
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output()?;
    ensure!(!output.status.success(), "it has served");
    Ok(String::from_utf8(output.stderr)?)
}

fn give_away(path: &Path) -> Result<()> {
    chown(path, Some(NOBODY), Some(NOBODY))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give_away(&entry?.path())?;
        }
    }
    Ok(())
}
