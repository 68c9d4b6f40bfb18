//! What people of a run are called, and the keys of its writes. Two runs share no name and no key, so the same plan may
//! be carried out on a server that holds an earlier run.

use uuid::Uuid;

/// The one password of everybody: it is never what is being tested.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

const FIRST: [&str; 12] =
    ["ada", "grace", "alan", "edsger", "barbara", "donald", "leslie", "tony", "frances", "john", "radia", "ken"];
const SUFFIX_CHARS: usize = 6;

#[derive(Debug, Clone)]
pub(crate) struct Names {
    run: String,
}

impl Names {
    pub(crate) fn of_a_new_run() -> Self {
        Self { run: Uuid::new_v4().simple().to_string() }
    }

    #[cfg(test)]
    pub(crate) fn of_run(run: &str) -> Self {
        Self { run: run.to_owned() }
    }

    pub(crate) fn username(&self, person: usize) -> String {
        format!("{}{person}_{}", first(person), self.suffix())
    }

    pub(crate) fn username_after_rename(&self, person: usize) -> String {
        format!("{}{person}r_{}", first(person), self.suffix())
    }

    /// A well-formed username that nobody has.
    pub(crate) fn nobody(&self) -> String {
        format!("nobody_{}", self.suffix())
    }

    pub(crate) fn email(&self, person: usize) -> String {
        format!("{}{person}.{}@example.com", first(person), self.suffix())
    }

    /// The `Idempotency-Key` of a step of the plan.
    pub(crate) fn key(&self, step: usize) -> String {
        format!("demo-{}-{step}", self.run)
    }

    fn suffix(&self) -> &str {
        &self.run[..SUFFIX_CHARS.min(self.run.len())]
    }
}

fn first(person: usize) -> &'static str {
    FIRST[person % FIRST.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_have_the_form_that_the_api_asks_for() {
        let names = Names::of_a_new_run();
        for name in [names.username(9_999_999), names.username_after_rename(9_999_999), names.nobody()] {
            assert!((3..=30).contains(&name.len()), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{name}");
        }
        assert!((8..=128).contains(&names.key(usize::MAX).len()));
    }

    #[test]
    fn two_runs_share_no_name() {
        assert_ne!(Names::of_a_new_run().username(1), Names::of_a_new_run().username(1));
    }
}
