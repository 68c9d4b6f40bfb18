//! What the clients of a simulation asked and were told, in order, and the same as calls on simple objects.
//!
//! Order is by a counter: simulated time has ties. A request that the network delivers twice is two calls with one id,
//! the second without an answer, from the moment on when the request was made.

mod by_sagas;

use super::network::{Sending, sending};
use crate::linearizability::ledger::{Ledger, Report};
use crate::linearizability::{Answer as Told, Call, Id, Why, account, follow, post, session};
use by_sagas::BySagas;
use commands::{
    Answer, BlockCommand, Command, CommentCommand, FollowCommand, LikeCommand, MuteCommand, PostCommand, Process,
    Refusal, Request, SagaCommand, SessionCommand, UserCommand,
};
use events::{CommandId, UserId};
use parking_lot::Mutex;
use sagas::block::{UserBlock, UserBlockData};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One request and what came of it.
#[derive(Clone, Debug)]
struct Asked {
    request: Request,
    begun: u64,
    answered: Option<(u64, Answer)>,
}

/// Notes requests and answers as they happen. Clones note in the same history.
#[derive(Clone, Default, Debug)]
pub struct Recorder(Arc<Mutex<Inner>>);

#[derive(Default, Debug)]
struct Inner {
    moment: u64,
    asked: Vec<Asked>,
}

impl Inner {
    fn now(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }
}

impl Recorder {
    /// A client asks; returns what [`Self::answered`] wants to know.
    pub fn asks(&self, request: &Request) -> usize {
        let mut inner = self.0.lock();
        let begun = inner.now();
        inner.asked.push(Asked { request: request.clone(), begun, answered: None });
        inner.asked.len() - 1
    }

    /// It has its answer.
    pub fn answered(&self, asked: usize, answer: &Answer) {
        let mut inner = self.0.lock();
        let ended = inner.now();
        inner.asked[asked].answered = Some((ended, answer.clone()));
    }

    /// Judges what was noted; these requests were delivered twice, and those are known never to take effect unless they
    /// have.
    pub fn judge(&self, doubled: &BTreeSet<CommandId>, late: &BTreeSet<Sending>) -> Report {
        let inner = self.0.lock();
        let (mut ledger, mut by_sagas) = (Ledger::default(), BySagas::default());
        let mut first = BTreeMap::new();
        for (number, asked) in inner.asked.iter().enumerate() {
            first.entry(asked.request.id).or_insert(number);
            ledger.operations += usize::from(asked.answered.is_some());
            ledger.unknown += usize::from(asked.answered.is_none());
            if asked.answered.is_none() && late.contains(&sending(&asked.request)) {
                continue;
            }
            note(&mut ledger, &mut by_sagas, number, asked);
        }
        for id in doubled {
            // The steps of sagas are delivered twice as well; they are no client's calls. A saga that was started is not
            // started again, and what was accepted does not happen again: that is checked by itself, for all commands.
            let may_happen_again = |number: &&usize| {
                let Asked { request, answered, .. } = &inner.asked[**number];
                let accepted = matches!(answered, Some((_, Answer::Accepted(_) | Answer::Repeated(_))));
                let may_come = !late.contains(&sending(request));
                // A block that was there may be over when the second delivery comes.
                let is_of_a_saga = match &request.command {
                    Command::Saga(SagaCommand::Start { data, .. }) => data.process != UserBlock::NAME,
                    Command::Saga(_) => true,
                    _ => false,
                };
                !accepted && may_come && !is_of_a_saga
            };
            if let Some(number) = first.get(id).filter(may_happen_again) {
                ledger.doubled += 1;
                let again = Asked { answered: None, ..inner.asked[*number].clone() };
                note(&mut ledger, &mut by_sagas, *number, &again);
            }
        }
        by_sagas.follow(&mut ledger);
        ledger.judge()
    }
}

fn note(ledger: &mut Ledger, by_sagas: &mut BySagas, number: usize, asked: &Asked) {
    match &asked.request.command {
        Command::Saga(SagaCommand::Start { saga, data, .. }) if data.process != UserBlock::NAME => {
            return by_sagas.note(ledger, *saga, data, &unanswered(number, asked), asked);
        }
        // What operators order is seen in what the sagas do.
        Command::Saga(SagaCommand::Order { .. }) => return,
        _ => {}
    }
    let call = match call(number, asked) {
        Ok(call) => call,
        Err(strange) => return ledger.strange.push(strange),
    };
    match &asked.request.command {
        Command::Post(command) => {
            let (key, op) = post(command);
            ledger.posts.entry(key).or_default().push(call.of(op));
        }
        Command::Like(LikeCommand::Add { post, user }) => {
            ledger.posts.entry(Id(post.0)).or_default().push(call.of(post::Op::Like(Id(user.0))));
        }
        Command::Like(LikeCommand::Remove { post, user }) => {
            ledger.posts.entry(Id(post.0)).or_default().push(call.of(post::Op::Unlike(Id(user.0))));
        }
        Command::Comment(command) => {
            let (key, op) = comment(command);
            ledger.posts.entry(key).or_default().push(call.of(op));
        }
        Command::Follow(command) => {
            let (key, op) = follow(command);
            ledger.follows.entry(key).or_default().push(call.of(op));
        }
        Command::Saga(SagaCommand::Start { data, .. }) => match data.read() {
            Ok(data) => block(ledger, &data, &call),
            Err(error) => ledger.strange.push(error.to_string()),
        },
        Command::Block(BlockCommand::End { user, target }) => {
            ledger.blocks.entry((Id(user.0), Id(target.0))).or_default().push(call.of(follow::Op::End));
        }
        Command::Mute(MuteCommand::Start { user, target }) => {
            ledger.mutes.entry((Id(user.0), Id(target.0))).or_default().push(call.of(start(*user, *target)));
        }
        Command::Mute(MuteCommand::End { user, target }) => {
            ledger.mutes.entry((Id(user.0), Id(target.0))).or_default().push(call.of(follow::Op::End));
        }
        Command::Session(command) => {
            by_sagas.signs_in(command);
            match session(command) {
                Some((key, op)) => ledger.sessions.entry(key).or_default().push(call.of(op)),
                None => ledger.strange.push(format!("clients do not ask for {command:?}")),
            }
        }
        Command::User(UserCommand::ChangeBio { user, .. }) => {
            ledger.accounts.entry(Id(user.0)).or_default().push(call.of(account::Op::ChangeBio));
        }
        other => ledger.strange.push(format!("clients do not ask for {other:?}")),
    }
}

/// The call without what it asks.
fn call(number: usize, asked: &Asked) -> Result<Call<()>, String> {
    let Asked { request, answered, .. } = asked;
    let answer = match answered.as_ref().map(|(_, answer)| answer) {
        None => Told::Unknown,
        Some(Answer::Accepted(_)) => Told::Accepted,
        Some(Answer::Repeated(_)) => Told::Repeated,
        Some(Answer::Unchanged(_)) => Told::Unchanged,
        Some(Answer::Refused(Refusal::NotFound)) => Told::Refused(Why::NotFound),
        Some(Answer::Refused(Refusal::Forbidden)) => Told::Refused(Why::Forbidden),
        Some(Answer::Refused(Refusal::SelfFollow | Refusal::Oneself)) => Told::Refused(Why::SelfFollow),
        Some(Answer::Refused(Refusal::KeyReused)) => Told::Refused(Why::KeyReused),
        Some(other) => return Err(format!("{:?} was answered {other:?}", request.command)),
    };
    Ok(Call { answer, ..unanswered(number, asked) })
}

/// The same without what was answered, but when.
fn unanswered(number: usize, Asked { request, begun, answered }: &Asked) -> Call<()> {
    Call {
        client: format!("call {number}"),
        op: (),
        id: Id(request.id.0),
        print: request.fingerprint.map_or(0, |print| print.0[0]),
        begun: *begun,
        ended: answered.as_ref().map(|(ended, _)| *ended),
        answer: Told::Unknown,
        after: None,
    }
}

fn post(command: &PostCommand) -> (Id, post::Op) {
    match command {
        PostCommand::Publish { post, author, .. } => (Id(post.0), post::Op::Publish(Id(author.0))),
        PostCommand::Edit { post, by, .. } => (Id(post.0), post::Op::Edit(Id(by.0))),
        PostCommand::Delete { post, by, .. } => (Id(post.0), post::Op::Delete(Id(by.0))),
    }
}

fn comment(command: &CommentCommand) -> (Id, post::Op) {
    match command {
        CommentCommand::Add { comment, post, author, .. } => {
            (Id(post.0), post::Op::Comment { comment: Id(comment.0), by: Id(author.0) })
        }
        CommentCommand::Delete { comment, post, by } => {
            (Id(post.0), post::Op::Uncomment { comment: Id(comment.0), by: Id(by.0) })
        }
    }
}

fn follow(command: &FollowCommand) -> ((Id, Id), follow::Op) {
    match command {
        FollowCommand::Start { follower, followee } => ((Id(follower.0), Id(followee.0)), start(*follower, *followee)),
        FollowCommand::End { follower, followee } => ((Id(follower.0), Id(followee.0)), follow::Op::End),
        FollowCommand::Sever { follower, followee } => ((Id(follower.0), Id(followee.0)), follow::Op::Sever),
    }
}

fn start(one: UserId, other: UserId) -> follow::Op {
    if one == other { follow::Op::StartOneself } else { follow::Op::Start }
}

/// A block severs one's own follow as it begins, and the other's at any time from then on.
fn block(ledger: &mut Ledger, UserBlockData { user, target }: &UserBlockData, call: &Call<()>) {
    let (one, other) = (Id(user.0), Id(target.0));
    ledger.blocks.entry((one, other)).or_default().push(call.of(start(*user, *target)));
    if matches!(call.answer, Told::Unchanged | Told::Refused(_)) {
        return;
    }
    ledger.follows.entry((one, other)).or_default().push(call.of(follow::Op::Sever));
    let later = Call { answer: Told::Unknown, ended: None, ..call.of(follow::Op::Sever) };
    ledger.follows.entry((other, one)).or_default().push(later);
}

fn session(command: &SessionCommand) -> Option<(Id, session::Op)> {
    match command {
        SessionCommand::Open { session, .. } => Some((Id(session.0), session::Op::Open)),
        SessionCommand::Close { session, .. } => Some((Id(session.0), session::Op::Close)),
        SessionCommand::Refresh { .. } | SessionCommand::CloseAll { .. } => None,
    }
}
