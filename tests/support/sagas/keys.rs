//! Stands in for what sagas do outside the log, and remembers it; in a file, if others shall know of it after a kill.

use anyhow::{Context, Result};
use commands::{Effect, Outcome};
use events::UserId;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// What was done, and to whom.
#[derive(Default)]
pub(super) struct Keys {
    done: Mutex<BTreeSet<(UserId, String)>>,
    notes: Option<Mutex<File>>,
    /// What was done too early.
    early: Mutex<Vec<String>>,
}

/// An erasure goes in two parts.
const A_PART: &str = "a part";
const ERASED: &str = "erased";
const SWEPT: &str = "swept";
const PASSED: &str = "passed";
const DESTROYED: &str = "destroyed";

impl Keys {
    /// Goes on from what stands in the file, if there is one, and notes there what is done from now on.
    pub(super) fn noted_in(file: &Path) -> Result<Self> {
        let noted = if file.exists() { std::fs::read_to_string(file)? } else { String::new() };
        let parse = |line: &str| {
            let (user, what) = line.split_once(' ')?;
            Some((user.parse().ok()?, what.to_owned()))
        };
        // The last line may have been cut off by a kill: then it was not told either.
        let done = noted.split_inclusive('\n').filter_map(|line| parse(line.strip_suffix('\n')?)).collect();
        let notes = File::options().create(true).append(true).open(file).context("the notes")?;
        Ok(Self { done: Mutex::new(done), notes: Some(Mutex::new(notes)), early: Mutex::default() })
    }

    /// Does it at once.
    pub(super) fn carry_out(&self, effect: Effect) -> Outcome {
        match effect {
            Effect::Erase(user) if !self.is_done(user, A_PART) => {
                self.note(user, A_PART);
                return Outcome::Progress("a part".to_owned());
            }
            Effect::Erase(user) => self.note(user, ERASED),
            Effect::Sweep(user) => self.note(user, SWEPT),
            Effect::PassReadModels(user) => self.note(user, PASSED),
            Effect::DestroyKey(user) => {
                // Whoever was never deleted comes to nothing before there is anything to erase.
                if self.is_done(user, A_PART) && !self.is_done(user, PASSED) {
                    self.early
                        .lock()
                        .push(format!("the key of {user} was destroyed before all read models had passed"));
                }
                self.note(user, DESTROYED);
            }
        }
        Outcome::Done { version: None }
    }

    /// Whose keys are gone.
    pub(super) fn destroyed(&self) -> BTreeSet<UserId> {
        self.done.lock().iter().filter(|(_, what)| what == DESTROYED).map(|(user, _)| *user).collect()
    }

    /// What was done too early, since this was asked last.
    pub(super) fn early(&self) -> Vec<String> {
        std::mem::take(&mut *self.early.lock())
    }

    fn is_done(&self, user: UserId, what: &str) -> bool {
        self.done.lock().contains(&(user, what.to_owned()))
    }

    fn note(&self, user: UserId, what: &str) {
        if let Some(notes) = &self.notes {
            notes.lock().write_all(format!("{user} {what}\n").as_bytes()).expect("the disk is not full");
        }
        self.done.lock().insert((user, what.to_owned()));
    }
}
