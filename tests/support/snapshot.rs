//! All files below a directory, held in memory, to be put elsewhere as they were or with something wrong in them.
#![expect(clippy::unwrap_used, reason = "what fails here is a test")]

use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How often a directory is looked at until two looks see the same.
const LOOKS_MAX: usize = 1_000;

/// All files below a directory, without the zeros that some end in.
#[derive(Clone, PartialEq)]
pub struct Snapshot(Vec<SavedFile>);

/// One of them.
#[derive(Clone, PartialEq)]
pub struct SavedFile {
    /// Where it stands, below the directory.
    pub path: PathBuf,
    /// How long it is.
    pub length: u64,
    /// What is written in it, up to the last byte that is not zero.
    pub content: Vec<u8>,
}

impl Snapshot {
    /// Taken when two looks see the same: the store may be busy in the background, and a copy that is taken while files
    /// come and go is nothing that a crash could leave.
    pub fn at_rest(directory: &Path) -> Self {
        for _ in 0..LOOKS_MAX {
            let (one, two) = (Self::take(directory), Self::take(directory));
            if let (Some(one), Some(two)) = (one, two)
                && one == two
            {
                return one;
            }
        }
        panic!("{} does not come to rest", directory.display());
    }

    fn take(directory: &Path) -> Option<Self> {
        let mut files = Vec::new();
        let mut folders = vec![directory.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).ok()? {
                let path = entry.ok()?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let mut content = fs::read(&path).ok()?;
                let length = content.len() as u64;
                content.truncate(content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
                files.push(SavedFile { path: path.strip_prefix(directory).ok()?.to_owned(), length, content });
            }
        }
        files.sort_by(|one, two| one.path.cmp(&two.path));
        Some(Self(files))
    }

    /// The files, ordered by path.
    pub fn files(&self) -> &[SavedFile] {
        &self.0
    }

    /// A directory of its own with all files.
    pub fn restored(&self) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        self.restore(directory.path());
        directory
    }

    /// Puts all files below a directory.
    pub fn restore(&self, directory: &Path) {
        for file in &self.0 {
            let path = directory.join(&file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &file.content).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_len(file.length).unwrap();
        }
    }

    /// Flips a bit in one of the files, each as likely as the others, up to a little beyond what is written in it.
    pub fn flip(&self, directory: &Path, random: u64) {
        let written: Vec<_> = self.0.iter().filter(|file| !file.content.is_empty()).collect();
        let file = written[usize::try_from(random % written.len() as u64).unwrap()];
        file.flip(directory, random / written.len() as u64 % (file.reach() * 8));
    }
}

impl SavedFile {
    /// How far damage can matter: a little beyond what is written.
    pub fn reach(&self) -> u64 {
        self.length.min(self.content.len() as u64 + 16)
    }

    /// Flips a bit in the copy of this file below `directory`.
    pub fn flip(&self, directory: &Path, bit: u64) {
        let path = directory.join(&self.path);
        let mut content = fs::read(&path).unwrap();
        content[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
        fs::write(&path, content).unwrap();
    }
}
