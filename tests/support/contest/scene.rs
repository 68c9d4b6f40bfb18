//! What the clients of a round share: what they fight over, and the books that they keep together.

use crate::linearizability::ledger::{Ledger, Report};
use crate::linearizability::{Answer, Call, Id, follow, post};
use crate::simulation::Dice;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::watch;

/// Posts that are fought over at one time.
pub(super) const POSTS: usize = 3;
/// Calls on a post until another one takes its place, which keeps histories short.
const CALLS_A_POST: usize = 150;

/// A comment, which the clients have to name before the program does.
#[derive(Clone, Copy)]
pub(super) struct Comment {
    pub(super) ours: Id,
    pub(super) theirs: Id,
}

/// A post that is fought over.
struct Hot {
    post: Id,
    calls: usize,
    comments: Vec<Comment>,
}

/// What the clients of a round share.
pub(super) struct Scene {
    name: String,
    people: Vec<Id>,
    posts: Mutex<Vec<Hot>>,
    ledger: Mutex<Ledger>,
    /// Moments are even, so that something fits in between.
    moment: AtomicU64,
    calls_max: AtomicUsize,
    calls: AtomicUsize,
    answers: watch::Sender<usize>,
    asked_again: AtomicUsize,
}

impl Scene {
    /// A round of so many calls at most.
    pub(super) fn new(name: String, people: Vec<Id>, calls_max: usize) -> Self {
        Self {
            name,
            people,
            posts: Mutex::default(),
            ledger: Mutex::default(),
            moment: AtomicU64::new(2),
            calls_max: AtomicUsize::new(calls_max),
            calls: AtomicUsize::new(0),
            answers: watch::Sender::new(0),
            asked_again: AtomicUsize::new(0),
        }
    }

    /// Waits until so many calls were answered.
    pub(super) async fn answered(&self, calls: usize) {
        let mut answers = self.answers.subscribe();
        answers.wait_for(|answers| *answers >= calls).await.expect("the sender is here");
    }

    /// How many calls were answered by now.
    pub(super) fn answers(&self) -> usize {
        *self.answers.borrow()
    }

    /// Judges the round; returns also how many calls were asked again after they had got no answer.
    pub(super) fn judge(&self) -> (Report, usize) {
        (self.ledger.lock().judge(), self.asked_again.load(Ordering::SeqCst))
    }

    pub(super) fn people(&self) -> impl Iterator<Item = Id> {
        self.people.iter().copied()
    }

    /// This moment, which is like no other.
    pub(super) fn now(&self) -> u64 {
        self.moment.fetch_add(2, Ordering::SeqCst)
    }

    /// The next call's number, until there were enough.
    pub(super) fn next(&self) -> Option<usize> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        (number < self.calls_max.load(Ordering::SeqCst)).then_some(number)
    }

    /// There were enough.
    pub(super) fn stop(&self) {
        self.calls_max.store(0, Ordering::SeqCst);
    }

    /// The `Idempotency-Key` of a call.
    pub(super) fn key(&self, number: usize) -> String {
        format!("call-{}-{number}", self.name)
    }

    /// A call that got no answer is asked again.
    pub(super) fn asks_again(&self) {
        self.asked_again.fetch_add(1, Ordering::SeqCst);
    }

    /// The post at a place and a comment under it; `None` if there is none, or it has had its calls.
    pub(super) fn hot(&self, place: usize, dice: &Dice) -> Option<(Id, Option<Comment>)> {
        let mut posts = self.posts.lock();
        let hot = posts.get_mut(place).filter(|hot| hot.calls < CALLS_A_POST)?;
        hot.calls += 1;
        Some((hot.post, (!hot.comments.is_empty()).then(|| *dice.one_of(&hot.comments))))
    }

    /// Another post to fight over.
    pub(super) fn heat(&self, place: usize, post: Id) {
        let hot = Hot { post, calls: 1, comments: Vec::new() };
        let mut posts = self.posts.lock();
        match posts.get_mut(place) {
            Some(before) => *before = hot,
            None => posts.push(hot),
        }
    }

    /// A comment that others may delete from now on.
    pub(super) fn commented(&self, post: Id, comment: Comment) {
        if let Some(hot) = self.posts.lock().iter_mut().find(|hot| hot.post == post) {
            hot.comments.push(comment);
        }
    }

    pub(super) fn note_post(&self, post: Id, call: Call<post::Op>) {
        self.count(call.answer);
        self.ledger.lock().posts.entry(post).or_default().push(call);
    }

    pub(super) fn note_follow(&self, pair: (Id, Id), call: Call<follow::Op>) {
        self.count(call.answer);
        self.ledger.lock().follows.entry(pair).or_default().push(call);
    }

    fn count(&self, answer: Answer) {
        let mut ledger = self.ledger.lock();
        match answer {
            Answer::Unknown => ledger.unknown += 1,
            _ => {
                ledger.operations += 1;
                self.answers.send_modify(|answers| *answers += 1);
            }
        }
    }
}
