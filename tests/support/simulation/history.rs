//! What the clients of a simulation asked and were told, in order, and the same as calls on simple objects.
//!
//! Order is by a counter: simulated time has ties. A request that the network delivers twice is two calls with one id,
//! the second without an answer, from the moment on when the request was made.

use crate::linearizability::ledger::{Ledger, Report};
use crate::linearizability::{Answer as Told, Call, Id, Why, account, claim, follow, post, session};
use commands::Process;
use commands::{
    Answer, Command, CommentCommand, Ended, FollowCommand, LikeCommand, PostCommand, Refusal, Request, SagaCommand,
    SessionCommand, UserCommand,
};
use events::{CommandId, Key};
use parking_lot::Mutex;
use sagas::registration::{CLAIM_EMAIL, CLAIM_USERNAME, Registration, RegistrationData};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

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

    /// Judges what was noted; these requests were delivered twice.
    pub fn judge(&self, doubled: &[CommandId]) -> Report {
        let inner = self.0.lock();
        let mut ledger = Ledger::default();
        let mut first = BTreeMap::new();
        for (number, asked) in inner.asked.iter().enumerate() {
            first.entry(asked.request.id).or_insert(number);
            ledger.operations += usize::from(asked.answered.is_some());
            ledger.unknown += usize::from(asked.answered.is_none());
            note(&mut ledger, number, asked);
        }
        for id in doubled {
            // The steps of sagas are delivered twice as well; they are no client's calls. A saga that was started is not
            // started again, and what was accepted does not happen again: that is checked by itself, for all commands.
            let may_happen_again = |number: &&usize| {
                let Asked { request, answered, .. } = &inner.asked[**number];
                let accepted = matches!(answered, Some((_, Answer::Accepted(_) | Answer::Repeated(_))));
                !accepted && !matches!(request.command, Command::Saga(_))
            };
            if let Some(number) = first.get(id).filter(may_happen_again) {
                ledger.doubled += 1;
                note(&mut ledger, *number, &Asked { answered: None, ..inner.asked[*number].clone() });
            }
        }
        ledger.judge()
    }
}

fn note(ledger: &mut Ledger, number: usize, asked: &Asked) {
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
        Command::Session(command) => {
            let (key, op) = session(command);
            ledger.sessions.entry(key).or_default().push(call.of(op));
        }
        Command::User(UserCommand::ChangeBio { user, .. }) => {
            ledger.accounts.entry(Id(user.0)).or_default().push(call.of(account::Op::ChangeBio));
        }
        Command::Saga(SagaCommand::Start { data, .. }) if data.process == Registration::NAME => match data.read() {
            Ok(data) => register(ledger, &call, &data, asked.answered.as_ref().map(|(_, answer)| answer)),
            Err(error) => ledger.strange.push(error.to_string()),
        },
        other => ledger.strange.push(format!("clients do not ask for {other:?}")),
    }
}

/// The call without what it asks; of a registration's answer only that there is one.
fn call(number: usize, asked: &Asked) -> Result<Call<()>, String> {
    let Asked { request, begun, answered } = asked;
    let answer = match answered.as_ref().map(|(_, answer)| answer) {
        None => Told::Unknown,
        Some(Answer::Accepted(_) | Answer::Ended(..)) => Told::Accepted,
        Some(Answer::Repeated(_)) => Told::Repeated,
        Some(Answer::Unchanged(_)) => Told::Unchanged,
        Some(Answer::Refused(Refusal::NotFound)) => Told::Refused(Why::NotFound),
        Some(Answer::Refused(Refusal::Forbidden)) => Told::Refused(Why::Forbidden),
        Some(Answer::Refused(Refusal::SelfFollow)) => Told::Refused(Why::SelfFollow),
        Some(Answer::Refused(Refusal::KeyReused)) => Told::Refused(Why::KeyReused),
        Some(other) => return Err(format!("{:?} was answered {other:?}", request.command)),
    };
    Ok(Call {
        client: format!("call {number}"),
        op: (),
        id: Id(request.id.0),
        print: request.fingerprint.map_or(0, |print| print.0[0]),
        begun: *begun,
        ended: answered.as_ref().map(|(ended, _)| *ended),
        answer,
        after: None,
    })
}

fn post(command: &PostCommand) -> (Id, post::Op) {
    match command {
        PostCommand::Publish { post, author, .. } => (Id(post.0), post::Op::Publish(Id(author.0))),
        PostCommand::Edit { post, by, .. } => (Id(post.0), post::Op::Edit(Id(by.0))),
        PostCommand::Delete { post, by } => (Id(post.0), post::Op::Delete(Id(by.0))),
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
        FollowCommand::Start { follower, followee } if follower == followee => {
            ((Id(follower.0), Id(followee.0)), follow::Op::StartOneself)
        }
        FollowCommand::Start { follower, followee } => ((Id(follower.0), Id(followee.0)), follow::Op::Start),
        FollowCommand::End { follower, followee } => ((Id(follower.0), Id(followee.0)), follow::Op::End),
    }
}

fn session(command: &SessionCommand) -> (Id, session::Op) {
    match command {
        SessionCommand::Open { session, .. } => (Id(session.0), session::Op::Open),
        SessionCommand::Close { session, .. } => (Id(session.0), session::Op::Close),
    }
}

/// What a registration did to the account and to its two claims, of which the address comes first.
fn register(ledger: &mut Ledger, call: &Call<()>, data: &RegistrationData, answer: Option<&Answer>) {
    let by = Id(data.user.0);
    let take = |told| Call { answer: told, ..call.of(claim::Op::Take(by)) };
    let give = |told| Call { answer: told, id: other(call.id), ..call.of(claim::Op::Give(by)) };
    let taken = Told::Refused(Why::Taken);
    let (email, username) = match answer {
        None => (vec![take(Told::Unknown), give(Told::Unknown)], vec![take(Told::Unknown), give(Told::Unknown)]),
        Some(Answer::Ended(_, Ended::Completed)) => {
            ledger.accounts.entry(by).or_default().push(call.of(account::Op::Create));
            (vec![take(Told::Accepted)], vec![take(Told::Accepted)])
        }
        Some(Answer::Ended(_, Ended::Compensated { refused: Some(step), .. })) if *step == CLAIM_EMAIL => {
            (vec![take(taken)], Vec::new())
        }
        Some(Answer::Ended(_, Ended::Compensated { refused: Some(step), .. })) if *step == CLAIM_USERNAME => {
            (vec![take(Told::Accepted), give(Told::Accepted)], vec![take(taken)])
        }
        Some(other) => return ledger.strange.push(format!("a registration was answered {other:?}")),
    };
    ledger.claims.entry(Key::Email(data.email_claim).to_string()).or_default().extend(email);
    ledger.claims.entry(Key::Username(data.username_claim).to_string()).or_default().extend(username);
}

/// An id for the second call that one request stands for.
fn other(id: Id) -> Id {
    Id(Uuid::from_u128(id.0.as_u128() ^ 1))
}
