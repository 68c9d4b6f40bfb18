//! What is there after a run that should not be, or is not there that should.

use super::failure::{Blow, Failure, Wrong};
use super::keys::Keys;
use super::ledger::{Counted, Course, Ledger};
use super::ready::At;
use super::run::Run;
use super::scenario::{Counts, Scenario};
use commands::{Answer, Ended};
use events::{Key, UserId};
use std::collections::BTreeSet;

/// How the saga must come out; `None` if it may come out in both ways.
fn is_to_complete(scenario: &Scenario, run: &Run) -> Option<bool> {
    if scenario.refused().is_some() {
        return Some(false);
    }
    match &run.failure {
        Failure::Step { after: Some(_), .. } => Some(false),
        Failure::Step { at, wrong, .. } if !at.undo && wrong.turns_back() => Some(!run.ready.can_undo(&at.step)),
        Failure::Record { blow: Blow::Delete, .. } => None,
        Failure::Nothing | Failure::Step { .. } | Failure::Record { .. } => Some(true),
    }
}

/// Of the saga itself.
pub(super) fn of_run(scenario: &Scenario, run: &Run, ledger: &Ledger, answer: Option<&Answer>) -> Vec<String> {
    let mut left = run.complaints();
    let course = ledger.sagas.get(&run.ready.saga);
    if matches!(run.failure, Failure::Record { blow: Blow::Forget, .. }) {
        left.extend(course.map(|_| "it began although its beginning was lost".to_owned()));
        return left;
    }
    let Some(course) = course else {
        left.push("it never began".to_owned());
        return left;
    };
    let Some(completed) = course.is_complete() else {
        left.push(format!("it ended {} times: {:?}", course.ends.len(), course.requested));
        return left;
    };
    if is_to_complete(scenario, run).is_some_and(|wanted| wanted != completed) {
        left.push(format!("it ended {}", if completed { "complete" } else { "undone" }));
    }
    if !course.after_its_end.is_empty() {
        left.push(format!("after its end it wrote {:?}", course.after_its_end));
    }
    let told = match answer {
        Some(Answer::Ended(_, Ended::Completed)) => completed,
        Some(Answer::Ended(_, Ended::Compensated { .. })) => !completed,
        _ => false,
    };
    if !told {
        left.push(format!("whoever asked for it was told {answer:?}"));
    }
    left.extend(steps(run, course, completed));
    left.extend(differences(&course.here, scenario.happens_here(completed), "here"));
    left.extend(elsewhere(scenario, run, course, &ledger.there(run.ready.saga), completed));
    left
}

/// All steps were carried out, or all that may have been were undone, in reverse order; and nothing was requested that
/// came to nothing.
fn steps(run: &Run, course: &Course, completed: bool) -> Vec<String> {
    let steps = |undo| course.came_to.iter().filter(move |at| at.undo == undo).map(|at| at.step.clone());
    let (done, undone): (BTreeSet<_>, Vec<_>) = (steps(false).collect(), steps(true).collect());
    let wanted = if completed {
        Vec::new()
    } else {
        let forward = |at: &&At| !at.undo;
        let last = course.requested.iter().rev().find(forward).map(|at| &at.step);
        last.map(|last| run.ready.compensations(last)).unwrap_or_default()
    };
    let mut left = Vec::new();
    if undone != wanted {
        left.push(format!("undone were {undone:?} rather than {wanted:?}"));
    }
    if completed && done != run.ready.steps.iter().cloned().collect() {
        left.push(format!("done were only {done:?}"));
    }
    let twice = course.requested.iter().enumerate().filter(|(n, at)| course.requested[..*n].contains(at));
    left.extend(twice.map(|(_, at)| format!("{at} was requested twice")));
    left
}

/// What its steps did to other keys.
fn elsewhere(scenario: &Scenario, run: &Run, course: &Course, there: &Counted, completed: bool) -> Vec<String> {
    let meets_others = match &run.failure {
        Failure::Step { wrong, .. } => {
            matches!(wrong, Wrong::DeletedMeanwhile | Wrong::RenamedMeanwhile | Wrong::TakenBack)
        }
        Failure::Record { blow, .. } => *blow == Blow::Delete,
        Failure::Nothing => false,
    };
    if completed && !meets_others {
        return differences(there, scenario.happens_there(), "elsewhere");
    }
    let most = |name: &str| scenario.happens_there().iter().find(|(of, _)| *of == name).map_or(0, |(_, most)| *most);
    if completed {
        let more = there.iter().filter(|(name, times)| **times > most(name));
        return more.map(|(name, times)| format!("{name} {times} times elsewhere")).collect();
    }
    // Each compensation takes effect once, also where there is nothing to undo, and nothing that is undone before it is
    // done once.
    let commands = |at: &&At| at.undo && run.ready.target(at).is_some();
    let undone = course.came_to.iter().filter(commands).count();
    let times = |names: [&str; 2]| names.map(|name| there.get(name).copied().unwrap_or_default()).iter().sum::<usize>();
    let (taken, given_back) =
        (times(["claim.reserved", "feed_slot.reserved"]), times(["claim.released", "feed_slot.released"]));
    let kept = times(["claim.confirmed", "feed_slot.committed"]);
    let as_it_should_be = given_back == undone && taken <= undone && kept == 0;
    (!as_it_should_be).then(|| format!("undone were {undone} steps elsewhere: {there:?}")).into_iter().collect()
}

fn differences(happened: &Counted, wanted: Counts, place: &str) -> Vec<String> {
    let wanted: Counted = wanted.iter().copied().collect();
    if *happened == wanted { Vec::new() } else { vec![format!("{place} happened {happened:?} rather than {wanted:?}")] }
}

/// Of everybody and everything in the log.
pub(super) fn of_all(ledger: &Ledger, keys: &Keys) -> Vec<String> {
    let mut left: Vec<_> = ledger.open().map(|saga| format!("saga {saga} is open")).collect();
    left.extend(ledger.sagas.iter().filter(|(_, it)| it.is_stuck).map(|(saga, _)| format!("saga {saga} is stuck")));
    left.extend(claims(ledger));
    left.extend(ledger.places.iter().map(|((user, post), _)| format!("post {post} has a place in the feed of {user}")));
    left.extend(ledger.drafts.iter().map(|post| format!("post {post} is a draft")));
    left.extend(keys_of(ledger, keys));
    left.extend(keys.early());
    left
}

/// Everybody has what their account says, for good, and nobody has anything else.
fn claims(ledger: &Ledger) -> Vec<String> {
    let members = ledger.people.iter().filter(|(_, entry)| !entry.disabled);
    let theirs = members.flat_map(|(user, entry)| {
        let (email, username) = (entry.email, entry.username);
        [(Key::Email(email.claim), *user, email.version), (Key::Username(username.claim), *user, username.version)]
    });
    let theirs: BTreeSet<_> = theirs.collect();
    let held = |confirmed: bool| ledger.claims.iter().filter(move |(_, holder)| holder.confirmed || !confirmed);
    let of = |confirmed| held(confirmed).map(|(key, it)| (*key, it.user, it.version)).collect::<BTreeSet<_>>();
    let missing = theirs.difference(&of(true)).map(|(key, user, _)| format!("{user} does not have {key}")).collect();
    let more = &of(false) - &theirs;
    more.iter().map(|(key, user, _)| format!("{user} holds {key}")).chain::<Vec<_>>(missing).collect()
}

/// Exactly the keys are destroyed that are said to be, and those are of everybody who is gone and of nobody else.
fn keys_of(ledger: &Ledger, keys: &Keys) -> Vec<String> {
    let destroyed = keys.destroyed();
    let differ = destroyed.symmetric_difference(&ledger.unreadable);
    let mut left: Vec<_> = differ.map(|user| format!("the key of {user} is not what is said of it")).collect();
    let is_gone = |user: &UserId| ledger.people.get(user).is_none_or(|entry| entry.disabled);
    left.extend(destroyed.iter().filter(|user| !is_gone(user)).map(|user| format!("{user} has no key")));
    let gone = ledger.people.iter().filter(|(user, entry)| entry.disabled && !destroyed.contains(user));
    left.extend(gone.map(|(user, _)| format!("{user} is gone and their key is not")));
    left
}
