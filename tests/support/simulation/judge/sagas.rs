//! Sagas: each begins once and ends once, complete or compensated, and has done in its own commits exactly what that means
//! for its kind.

use super::super::book::{Book, Landed};
use events::{BlockEvent, BlockStarted, Event, PostEvent, SagaData, SagaEvent, SagaId, UserEvent};
use sagas::block::UserBlockData;
use sagas::deletion::DeletionData;
use sagas::post_creation::PostCreationData;
use sagas::registration::RegistrationData;
use sagas::rename::RenameData;
use std::collections::{BTreeMap, BTreeSet};

/// What a saga did, as its commits tell it.
struct Course<'a> {
    data: &'a SagaData,
    commits: Vec<&'a Landed>,
    /// How often it was complete, and how often compensated.
    ends: (usize, usize),
}

/// What was promised of sagas and not kept.
pub(super) fn violations(book: &Book) -> Vec<String> {
    let mut violations = Vec::new();
    let mut courses: BTreeMap<SagaId, Course<'_>> = BTreeMap::new();
    for landed in book.all() {
        for event in landed.events() {
            let Event::Saga(event) = event else { continue };
            let saga = event.saga();
            if let SagaEvent::Started(e) = event {
                let course = Course { data: &e.data, commits: Vec::new(), ends: (0, 0) };
                if courses.insert(saga, course).is_some() {
                    violations.push(format!("saga {saga} began twice"));
                }
            }
            let Some(course) = courses.get_mut(&saga) else {
                violations.push(format!("saga {saga} never began, and acts at {}", landed.decoded.position));
                continue;
            };
            match event {
                SagaEvent::Completed(_) => course.ends.0 += 1,
                SagaEvent::Compensated(_) => course.ends.1 += 1,
                SagaEvent::CompensationFailed(e) => {
                    violations.push(format!("saga {saga} cannot undo {}: {}", e.step, e.error));
                }
                _ => {}
            }
        }
        if let Some(course) = landed.saga().and_then(|saga| courses.get_mut(&saga)) {
            course.commits.push(landed);
        }
    }
    violations.extend(courses.iter().filter_map(|(saga, course)| Some(format!("saga {saga} {}", course.fault()?))));
    violations
}

/// What a saga of this kind has done when it is complete, if that is always the same.
fn steps(process: &str) -> Option<BTreeSet<&'static str>> {
    let steps: &[&str] = match process {
        "USER_REGISTRATION" => &["CLAIM_EMAIL", "CLAIM_USERNAME", "CONFIRM_EMAIL", "CONFIRM_USERNAME"],
        "POST_CREATION" => &["RESERVE_FEED_SLOT", "COMMIT_FEED_SLOT"],
        "USER_BLOCK" => &["SEVER_FOLLOW"],
        "USER_DELETION" => &["ERASE", "SWEEP", "VACATE_EMAIL", "VACATE_USERNAME", "PASS_READ_MODELS", "DESTROY_KEY"],
        _ => return None,
    };
    Some(steps.iter().copied().collect())
}

impl Course<'_> {
    /// What is wrong with it, if anything is.
    fn fault(&self) -> Option<String> {
        let completed = match self.ends {
            (1, 0) => true,
            (0, 1) => false,
            (completed, compensated) => {
                return Some(format!("was {completed} times complete and {compensated} times compensated"));
            }
        };
        if let Some(steps) = steps(&self.data.process).filter(|steps| completed && self.steps() != *steps) {
            return Some(format!("is complete without {steps:?}, but with {:?}", self.steps()));
        }
        let fault = match &*self.data.process {
            "USER_REGISTRATION" => self.registration(completed),
            "POST_CREATION" => self.post_creation(completed),
            "USER_RENAME" => self.rename(completed),
            "USER_BLOCK" => self.block(completed),
            "USER_DELETION" => self.deletion(completed),
            other => Some(format!("is a {other}, of which nothing is known here")),
        }?;
        Some(format!("is complete ({completed}), but {fault}"))
    }

    /// What was done of it.
    fn steps(&self) -> BTreeSet<&str> {
        let events = self.commits.iter().flat_map(|landed| landed.events());
        let done = events.filter_map(|event| match event {
            Event::Saga(SagaEvent::StepCompleted(e)) => Some(&*e.step.0),
            _ => None,
        });
        done.collect()
    }

    /// How often something happened in its commits.
    fn count(&self, of: impl Fn(&Event) -> bool) -> usize {
        self.commits.iter().flat_map(|landed| landed.events()).filter(|event| of(event)).count()
    }

    /// Complete, and the account is there; compensated, and it never was and the key is destroyed.
    fn registration(&self, completed: bool) -> Option<String> {
        let user = self.data.read::<RegistrationData>().expect("its own data").user;
        let created = self.count(|event| matches!(event, Event::User(UserEvent::Created(e)) if e.user == user));
        let destroyed = self.count(|event| matches!(event, Event::User(UserEvent::KeyDestroyed(e)) if e.user == user));
        let should = if completed { (1, 0) } else { (0, 1) };
        let is = (created, destroyed);
        (is != should).then(|| format!("{user} was created and their key destroyed {is:?} times"))
    }

    /// Complete, and there is one post; compensated, and there never was one.
    fn post_creation(&self, completed: bool) -> Option<String> {
        let PostCreationData { post, .. } = self.data.read().expect("its own data");
        let drafted = self.count(|event| matches!(event, Event::Post(PostEvent::Drafted(e)) if e.post == post));
        let published =
            self.count(|event| matches!(event, Event::Post(PostEvent::DraftPublished(e)) if e.post == post));
        let dropped = self.count(|event| matches!(event, Event::Post(PostEvent::DraftDropped(e)) if e.post == post));
        let should = if completed { (1, 1, 0) } else { (1, 0, 1) };
        let is = (drafted, published, dropped);
        (is != should).then(|| format!("{post} was drafted, published and dropped {is:?} times"))
    }

    /// Complete, and the account has what it was to have, in one commit; compensated, and it never had.
    fn rename(&self, completed: bool) -> Option<String> {
        let data: RenameData = self.data.read().expect("its own data");
        let (email, username) = (data.email.map(|change| change.claim), data.username.map(|change| change.claim));
        let changes = |landed: &&&Landed| {
            let changed = |event: &Event| match event {
                Event::User(UserEvent::EmailChanged(e)) => e.user == data.user && Some(e.claimed.claim) == email,
                Event::User(UserEvent::UsernameChanged(e)) => e.user == data.user && Some(e.claimed.claim) == username,
                _ => false,
            };
            let wanted = usize::from(email.is_some()) + usize::from(username.is_some());
            landed.events().iter().filter(|event| changed(event)).count() == wanted
        };
        let any = self.count(|event| matches!(event, Event::User(_)));
        let whole = self.commits.iter().filter(changes).count();
        match completed {
            true => (whole != 1).then(|| format!("{} was changed {whole} times", data.user)),
            false => (any > 0).then(|| format!("{} was changed all the same", data.user)),
        }
    }

    /// Complete, and the block began once; it is never compensated.
    fn block(&self, completed: bool) -> Option<String> {
        let UserBlockData { user, target } = self.data.read().expect("its own data");
        let is_it = |e: &BlockStarted| (e.user, e.target) == (user, target);
        let began = self.count(|event| matches!(event, Event::Block(BlockEvent::Started(e)) if is_it(e)));
        (!completed || began != 1).then(|| format!("{user} began to block {target} {began} times"))
    }

    /// Complete, and the account is disabled and its key destroyed, in this order; it is never compensated.
    fn deletion(&self, completed: bool) -> Option<String> {
        let DeletionData { user } = self.data.read().expect("its own data");
        let events = self.commits.iter().flat_map(|landed| landed.events());
        let did: Vec<&str> = events.filter(|e| matches!(e, Event::User(_))).map(|e| e.wire_name().0).collect();
        let is_kept = completed && did == ["user.disabled", "user.key_destroyed"];
        (!is_kept).then(|| format!("to {user} it did {did:?}"))
    }
}
