//! After a simulation: were the promises kept?
//!
//! All is checked against the log, read once more by a plain reader, and against what each client was told.

use super::reading::Thing;
use super::world::World;
use commands::{Answer, Command, Decision, Ended, Processes, Receipt, Request, SagaCommand, State};
use events::{
    CommandId, CommentEvent, Event, LikeEvent, PostEvent, SagaEvent, SagaId, SessionEvent, UserEvent, UserId,
};
use journal::{DecodedCommit, Offset, Partition, Position, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a client asked and was told.
pub struct Asked {
    /// The request as it was sent.
    pub request: Request,
    /// Who decides it.
    pub partition: Partition,
    /// How many records had landed in the partition when it was sent.
    pub from: Offset,
    /// How many when it was answered.
    pub to: Offset,
    /// The answer.
    pub answer: Answer,
    /// Something that the client itself saw to be wrong.
    pub violation: Option<String>,
}

impl Asked {
    /// What a client asked and forgot: it was told nothing.
    pub fn forgotten(request: Request) -> Self {
        Self { request, partition: Partition(0), from: 0, to: 0, answer: Answer::Unknown, violation: None }
    }

    /// Something that a client saw to be wrong.
    pub fn violation(what: String) -> Self {
        use events::{Key, Timestamp};
        let key = Key::User(UserId::default());
        let command = commands::UserCommand::ChangeBio { user: UserId::default(), bio: None };
        let now = tokio::time::Instant::now();
        let request = Request::new(CommandId::default(), key, command, Timestamp::default(), now);
        Self { request, partition: Partition(0), from: 0, to: 0, answer: Answer::Unknown, violation: Some(what) }
    }
}

/// What a client read after it was told that what it did took effect.
pub struct Seen {
    /// What it was told.
    pub position: Position,
    /// How many records had landed when it read.
    pub to: Offset,
    /// What it looked for.
    pub thing: Thing,
    /// Whether it was there.
    pub there: bool,
}

/// The valid commits of a partition.
pub async fn commits(log: &super::SimulatedLog, partition: Partition) -> Vec<DecodedCommit> {
    let mut reader = Reader::from_start(Arc::new(log.clone()), partition).await.expect("the log can be read");
    let mut all = Vec::new();
    loop {
        let batch = reader.commits().await.expect("the log can be read");
        if batch.is_empty() {
            return all;
        }
        all.extend(batch);
    }
}

/// Sagas that have begun and not ended.
pub async fn open_sagas(log: &super::SimulatedLog) -> BTreeSet<SagaId> {
    let mut open = BTreeSet::new();
    for n in 0..journal::Journal::partitions(log) {
        for decoded in commits(log, Partition(n)).await {
            for event in &decoded.commit.events {
                match event {
                    Event::Saga(SagaEvent::Started(e)) => open.insert(e.saga),
                    Event::Saga(SagaEvent::Completed(e)) => open.remove(&e.saga),
                    Event::Saga(SagaEvent::Compensated(e)) => open.remove(&e.saga),
                    _ => false,
                };
            }
        }
    }
    open
}

/// Everything that was promised and not kept.
pub(super) async fn promises(world: &World) -> Vec<String> {
    let mut violations = Vec::new();
    let mut users = Vec::new();
    let mut claims = 0;
    for n in 0..journal::Journal::partitions(&world.log) {
        let partition = Partition(n);
        let commits = commits(&world.log, partition).await;
        let asked = world.asked.lock();
        let mine = asked.iter().filter(|asked| asked.partition == partition).collect::<Vec<_>>();
        violations.extend(mine.iter().filter_map(|asked| asked.violation.clone()));
        violations.extend(exactly_once(&commits));
        violations.extend(acceptances(&commits, &mine));
        violations.extend(refusals(&commits, &mine));
        violations.extend(times(&commits));
        violations.extend(own_writes(&commits, &world.seen.lock()));
        let mut state = State::default();
        for decoded in &commits {
            state.apply(&decoded.key, decoded.position, &decoded.commit);
            users.extend(decoded.commit.events.iter().filter_map(|event| match event {
                Event::User(UserEvent::Created(created)) => Some((created.email_claim, created.username_claim)),
                _ => None,
            }));
        }
        claims += state.held_claims().count();
    }
    let emails = users.iter().map(|(email, _)| email).collect::<BTreeSet<_>>();
    let names = users.iter().map(|(_, name)| name).collect::<BTreeSet<_>>();
    if emails.len() != users.len() || names.len() != users.len() {
        violations.push(format!("{} users, {} addresses, {} names", users.len(), emails.len(), names.len()));
    }
    if claims != 2 * users.len() {
        violations.push(format!("{claims} claims are held by {} users", users.len()));
    }
    violations
}

/// No command took effect twice.
fn exactly_once(commits: &[DecodedCommit]) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let twice = |decoded: &DecodedCommit| {
        let first = seen.insert(decoded.commit.command, decoded.position)?;
        Some(format!("{} took effect at {first} and at {}", decoded.commit.command, decoded.position))
    };
    commits.iter().filter_map(twice).collect()
}

/// Whoever was told that a command took effect finds it in the log, where they were told.
fn acceptances(commits: &[DecodedCommit], asked: &[&Asked]) -> Vec<String> {
    let at: BTreeMap<Offset, &DecodedCommit> =
        commits.iter().map(|decoded| (decoded.position.offset, decoded)).collect();
    let missing = |asked: &&Asked| {
        let id = asked.request.id;
        match &asked.answer {
            Answer::Accepted(receipt) | Answer::Repeated(receipt) => match at.get(&receipt.position.offset) {
                Some(found) if found.commit.command == id && found.commit.time == receipt.time => None,
                Some(found) => {
                    Some(format!("{id} was accepted at {}, where {} is", receipt.position, found.commit.command))
                }
                None => Some(format!("{id} was accepted at {}, where nothing valid is", receipt.position)),
            },
            Answer::Ended(Receipt { position, .. }, ended) => {
                let saga = match &asked.request.command {
                    Command::Saga(SagaCommand::Start { saga, .. }) => Some(*saga),
                    _ => None,
                };
                // The position is where it changed its own key last, which may be before its end.
                let acted =
                    at.get(&position.offset).is_some_and(|found| sagas_of(found).any(|e| Some(e.saga()) == saga));
                // Nobody is told an end that has not landed by then.
                let landed = commits.iter().filter(|decoded| decoded.position.offset < asked.to);
                let ending = landed.flat_map(sagas_of).any(|event| match event {
                    SagaEvent::Completed(e) => Some(e.saga) == saga && *ended == Ended::Completed,
                    SagaEvent::Compensated(e) => Some(e.saga) == saga && matches!(ended, Ended::Compensated { .. }),
                    _ => false,
                });
                (!acted || !ending)
                    .then(|| format!("{id} was told {ended:?} at {position}, where the saga did not act, or not so"))
            }
            _ => None,
        }
    };
    asked.iter().filter_map(missing).collect()
}

fn sagas_of(decoded: &DecodedCommit) -> impl Iterator<Item = &SagaEvent> {
    decoded.commit.events.iter().filter_map(|event| match event {
        Event::Saga(event) => Some(event),
        _ => None,
    })
}

/// Whoever was told that nothing happened was told the truth: at some moment between question and answer the log was
/// such that a sound owner would have said the same.
fn refusals(commits: &[DecodedCommit], asked: &[&Asked]) -> Vec<String> {
    let processes = sagas::processes(Duration::ZERO);
    let mut waiting: Vec<&Asked> = asked
        .iter()
        .copied()
        .filter(|asked| matches!(asked.answer, Answer::Refused(_) | Answer::Unchanged(_)))
        .collect();
    waiting.sort_by_key(|asked| asked.from);
    let mut state = State::default();
    let mut next = commits.iter().peekable();
    let mut violations = Vec::new();
    // `log_end` moves over the valid commits; the state is that of a log which ends there.
    let mut log_end = 0;
    while !waiting.is_empty() {
        let following = next.peek().map_or(Offset::MAX, |decoded| decoded.position.offset);
        waiting.retain(|asked| {
            let alive = asked.from <= following && log_end <= asked.to;
            if alive && says(&state, asked, &processes) {
                return false;
            }
            if asked.to <= following {
                let (id, answer) = (asked.request.id, &asked.answer);
                violations.push(format!(
                    "{id} on {} was told {answer:?}, which was never true between {} and {} ({:?})",
                    asked.request.key, asked.from, asked.to, asked.request.command
                ));
                return false;
            }
            true
        });
        match next.next() {
            Some(decoded) => {
                state.apply(&decoded.key, decoded.position, &decoded.commit);
                log_end = decoded.position.offset + 1;
            }
            None => break,
        }
    }
    violations
}

fn says(state: &State, asked: &Asked, processes: &Processes) -> bool {
    match (state.decide(&asked.request, processes), &asked.answer) {
        (Decision::Refused(decided), Answer::Refused(told)) => decided == *told,
        (Decision::Unchanged(decided), Answer::Unchanged(told)) => decided == *told,
        _ => false,
    }
}

/// Whoever wrote something read it, or what somebody made of it later.
fn own_writes(commits: &[DecodedCommit], seen: &[Seen]) -> Vec<String> {
    let partition = commits.first().map(|decoded| decoded.position.partition);
    let missed = |seen: &&Seen| {
        let mut there = false;
        for decoded in commits.iter().take_while(|decoded| decoded.position.offset < seen.to) {
            for event in &decoded.commit.events {
                there = changed(seen.thing, event).unwrap_or(there);
            }
            if decoded.position.offset >= seen.position.offset && there == seen.there {
                return None;
            }
        }
        let Seen { position, thing, there, .. } = seen;
        Some(format!("whoever was told at {position} then read of {thing:?} that it is there: {there}"))
    };
    seen.iter().filter(|seen| Some(seen.position.partition) == partition).filter_map(|seen| missed(&seen)).collect()
}

/// Whether the thing is there after the event, if that is what the event is about.
fn changed(thing: Thing, event: &Event) -> Option<bool> {
    match (thing, event) {
        (Thing::Like(post, user), Event::Like(LikeEvent::Added(e))) => {
            ((e.post, e.user) == (post, user)).then_some(true)
        }
        (Thing::Like(post, user), Event::Like(LikeEvent::Removed(e))) => {
            ((e.post, e.user) == (post, user)).then_some(false)
        }
        (Thing::Post(post), Event::Post(PostEvent::Published(e))) => (e.post == post).then_some(true),
        (Thing::Comment(_, comment), Event::Comment(CommentEvent::Added(e))) => (e.comment == comment).then_some(true),
        (Thing::Comment(_, comment), Event::Comment(CommentEvent::Deleted(e))) => {
            (e.comment == comment).then_some(false)
        }
        // What lies under a deleted post is gone.
        (Thing::Post(post) | Thing::Like(post, _) | Thing::Comment(post, _), Event::Post(PostEvent::Deleted(e))) => {
            (e.post == post).then_some(false)
        }
        (Thing::Session(session), Event::Session(SessionEvent::Opened(e))) => (e.session == session).then_some(true),
        (Thing::Session(session), Event::Session(SessionEvent::Closed(e))) => (e.session == session).then_some(false),
        _ => None,
    }
}

/// Time and ordinals never go back.
fn times(commits: &[DecodedCommit]) -> Vec<String> {
    let ordinals = commits.iter().zip(0..).filter(|(decoded, n)| decoded.commit.ordinal != *n);
    let ordinals =
        ordinals.map(|(decoded, n)| format!("{} is commit {n}, not {}", decoded.position, decoded.commit.ordinal));
    let back = commits.windows(2).filter(|pair| pair[1].commit.time < pair[0].commit.time);
    let back = back.map(|pair| format!("time goes back at {}", pair[1].position));
    ordinals.chain(back).collect()
}
