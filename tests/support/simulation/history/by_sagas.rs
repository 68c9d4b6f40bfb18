//! What whoever began a saga was told, as calls on the objects that the saga is about: an account, a post, claims.
//!
//! Who takes a claim is the saga: a person who wants one back that they have just given up is one more competitor.

use super::Asked;
use crate::linearizability::ledger::Ledger;
use crate::linearizability::{Answer as Told, Call, Id, Why, account, claim, follow, post, session};
use commands::{Answer, Ended, Process, Refusal, SessionCommand};
use events::{Key, SagaData, SagaId, Step};
use sagas::deletion::{Deletion, DeletionData};
use sagas::post_creation::{PostCreation, PostCreationData};
use sagas::registration;
use sagas::registration::{Registration, RegistrationData};
use sagas::rename::{self, Rename, RenameData};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What follows from calls for objects that may be known only later.
#[derive(Default)]
pub(super) struct BySagas {
    /// Whose each saga is that takes claims.
    takers: BTreeMap<Id, Id>,
    /// Who has signed in, and as what.
    sessions: BTreeSet<(Id, Id)>,
    /// Who has given up what, and with which call.
    given_up: Vec<(Id, String, Call<()>)>,
    /// Who has deleted their account, and with which call.
    deleted: Vec<(Id, Call<()>)>,
    /// How they came out somebody was told.
    told: BTreeSet<SagaId>,
}

/// A claim that a saga wants: its history, and the step that takes it.
type Want = (String, Step);

impl BySagas {
    /// Somebody signs in, or out.
    pub(super) fn signs_in(&mut self, command: &SessionCommand) {
        if let SessionCommand::Open { session, user, .. } | SessionCommand::Close { session, user } = command {
            self.sessions.insert((Id(user.0), Id(session.0)));
        }
    }

    /// A saga was to be begun.
    pub(super) fn note(&mut self, ledger: &mut Ledger, saga: SagaId, data: &SagaData, call: &Call<()>, asked: &Asked) {
        let answer = asked.answered.as_ref().map(|(_, answer)| answer);
        // Whoever asks again has seen to it that the answer is the same, and what it tells of came before.
        let is_new = !matches!(answer, Some(Answer::Ended(..))) || self.told.insert(saga);
        if !is_new || matches!(answer, Some(Answer::Refused(Refusal::KeyReused))) {
            return;
        }
        let noted = match &*data.process {
            Registration::NAME => data.read().map(|data| self.register(ledger, saga, &data, call, answer)),
            PostCreation::NAME => data.read().map(|data| publish(ledger, &data, call, answer)),
            Rename::NAME => data.read().map(|data| self.rename(ledger, saga, &data, call, answer)),
            Deletion::NAME => data.read().map(|data| self.delete(ledger, &data, call, answer)),
            other => return ledger.strange.push(format!("clients begin no {other}")),
        };
        if let Err(error) = noted {
            ledger.strange.push(error.to_string());
        }
    }

    fn register(
        &mut self,
        ledger: &mut Ledger,
        saga: SagaId,
        data: &RegistrationData,
        call: &Call<()>,
        answer: Option<&Answer>,
    ) {
        let (saga, user) = (Id(saga.0), Id(data.user.0));
        self.takers.insert(saga, user);
        if let Some(Answer::Ended(_, Ended::Completed)) = answer {
            let create = Call { answer: Told::Done, ..call.of(account::Op::Create) };
            ledger.accounts.entry(user).or_default().push(create);
        }
        let wants = [
            (Key::Email(data.email_claim).to_string(), registration::CLAIM_EMAIL),
            (Key::Username(data.username_claim).to_string(), registration::CLAIM_USERNAME),
        ];
        take(ledger, saga, &wants, call, answer);
    }

    fn rename(
        &mut self,
        ledger: &mut Ledger,
        saga: SagaId,
        data: &RenameData,
        call: &Call<()>,
        answer: Option<&Answer>,
    ) {
        if let Some(Answer::Refused(Refusal::NotFound | Refusal::Stale)) = answer {
            return;
        }
        let (saga, user) = (Id(saga.0), Id(data.user.0));
        self.takers.insert(saga, user);
        let email = data.email.as_ref().map(|change| (Key::Email(change.from.claim), Key::Email(change.claim)));
        let name = data.username.as_ref().map(|change| (Key::Username(change.from.claim), Key::Username(change.claim)));
        let changes = [(email, rename::CLAIM_EMAIL), (name, rename::CLAIM_USERNAME)];
        // What is written differently is not claimed anew.
        let changes =
            changes.into_iter().filter_map(|(keys, step)| keys.filter(|(from, to)| from != to).zip(Some(step)));
        let mut wants = Vec::new();
        for ((from, to), step) in changes {
            self.given_up.push((user, from.to_string(), call.clone()));
            wants.push((to.to_string(), step));
        }
        take(ledger, saga, &wants, call, answer);
    }

    fn delete(&mut self, ledger: &mut Ledger, data: &DeletionData, call: &Call<()>, answer: Option<&Answer>) {
        let told = match answer {
            None => Told::Unknown,
            Some(Answer::Ended(_, Ended::Completed)) => Told::Done,
            Some(Answer::Refused(Refusal::NotFound)) => Told::Refused(Why::NotFound),
            Some(other) => return ledger.strange.push(format!("a deletion was answered {other:?}")),
        };
        self.deleted.push((Id(data.user.0), Call { answer: told, ..call.clone() }));
    }

    /// What deletions and renames did to objects that are all known by now.
    pub(super) fn follow(&self, ledger: &mut Ledger) {
        for (user, call) in &self.deleted {
            ledger.accounts.entry(*user).or_default().push(call.of(account::Op::Delete));
            for (_, session) in self.sessions.range((*user, Id(Uuid::nil()))..=(*user, Id(Uuid::max()))) {
                ledger.sessions.entry(*session).or_default().push(call.of(session::Op::DeleteAccount));
            }
            let pairs = [&mut ledger.follows, &mut ledger.blocks, &mut ledger.mutes].into_iter().flatten();
            for (_, calls) in pairs.filter(|((by, _), _)| by == user) {
                calls.push(call.of(follow::Op::DeleteAccount));
            }
            ledger.claims.values_mut().for_each(|calls| self.give(calls, *user, call));
        }
        for (user, claim, call) in &self.given_up {
            self.give(ledger.claims.entry(claim.clone()).or_default(), *user, call);
        }
    }

    /// From then on what a person's sagas have taken may be given back.
    fn give(&self, calls: &mut Vec<Call<claim::Op>>, user: Id, call: &Call<()>) {
        let taken_by = |call: &Call<claim::Op>| match call.op {
            claim::Op::Take(saga) if self.takers.get(&saga) == Some(&user) => Some(saga),
            claim::Op::Take(_) | claim::Op::Give(_) => None,
        };
        let may_have = |call: &&Call<claim::Op>| !matches!(call.answer, Told::Refused(_));
        let takers: BTreeSet<Id> = calls.iter().filter(may_have).filter_map(taken_by).collect();
        for saga in takers {
            let id = Id(Uuid::from_u128(call.id.0.as_u128() ^ saga.0.as_u128()));
            calls.push(Call { id, ended: None, answer: Told::Unknown, ..call.of(claim::Op::Give(saga)) });
        }
    }
}

/// A post that its saga publishes. Of one that comes to nothing nobody ever sees anything.
fn publish(ledger: &mut Ledger, data: &PostCreationData, call: &Call<()>, answer: Option<&Answer>) {
    let told = match answer {
        Some(Answer::Ended(_, Ended::Compensated { .. })) => return,
        Some(Answer::Ended(_, Ended::Completed)) => Told::Done,
        Some(Answer::Refused(Refusal::NotFound)) => Told::Refused(Why::NotFound),
        // It is on its way, and may be published at any time or never.
        None | Some(Answer::Accepted(_) | Answer::Repeated(_) | Answer::Unchanged(_)) => Told::Unknown,
        Some(other) => return ledger.strange.push(format!("a post was answered {other:?}")),
    };
    let ended = call.ended.filter(|_| told != Told::Unknown);
    let call = Call { answer: told, ended, ..call.of(post::Op::Publish(Id(data.author.0))) };
    ledger.posts.entry(Id(data.post.0)).or_default().push(call);
}

/// What a saga did to the claims that it wanted, which it takes one after the other.
fn take(ledger: &mut Ledger, saga: Id, wants: &[Want], call: &Call<()>, answer: Option<&Answer>) {
    let refused = match answer {
        Some(Answer::Ended(_, Ended::Compensated { refused, .. })) => {
            refused.as_ref().and_then(|refused| wants.iter().position(|(_, step)| step == refused))
        }
        _ => None,
    };
    // Whatever is still under way may come at any time.
    let ended = call.ended.filter(|_| matches!(answer, Some(Answer::Ended(..))));
    let call = Call { ended, ..call.clone() };
    for (n, (claim, _)) in wants.iter().enumerate() {
        let (takes, gives) = match (answer, refused) {
            (Some(Answer::Ended(_, Ended::Completed)), _) => (Told::Accepted, None),
            (_, Some(refused)) if n > refused => continue,
            (_, Some(refused)) if n == refused => (Told::Refused(Why::Taken), None),
            (_, Some(_)) => (Told::Accepted, Some(Told::Accepted)),
            // It may have taken it and given it back, or not have come to it.
            (_, None) => (Told::Unknown, Some(Told::Unknown)),
        };
        let calls = ledger.claims.entry(claim.clone()).or_default();
        calls.push(Call { answer: takes, ..call.of(claim::Op::Take(saga)) });
        if let Some(answer) = gives {
            let id = Id(Uuid::from_u128(call.id.0.as_u128() ^ 1));
            calls.push(Call { answer, id, ..call.of(claim::Op::Give(saga)) });
        }
    }
}
