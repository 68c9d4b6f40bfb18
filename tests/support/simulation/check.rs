//! After a simulation: were the promises kept?
//!
//! All is checked against the log, read once more by a plain reader, and against what each client was told.

use super::book::{Book, Landed};
use super::reading::Thing;
use super::world::World;
use commands::{Answer, Command, Decision, Ended, Processes, Receipt, Request, SagaCommand, State};
use events::{
    BlockEvent, CommandId, CommentEvent, CommentId, Event, LikeEvent, PostEvent, PostId, SagaEvent, SessionEvent,
    SessionId, UserEvent, UserId,
};
use journal::{Offset, Partition, Position};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

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
        let now = Instant::now();
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
    /// When it read.
    pub at: Instant,
    /// What it looked for.
    pub thing: Thing,
    /// Whether it was there.
    pub there: bool,
}

/// Everything that was promised and not kept.
pub(super) fn promises(world: &World, book: &Book) -> Vec<String> {
    let (asked, whose) = (world.asked.lock(), Whose::of(book));
    let mut violations: Vec<String> = asked.iter().filter_map(|asked| asked.violation.clone()).collect();
    for (commits, partition) in book.partitions.iter().zip((0..).map(Partition)) {
        let mine = asked.iter().filter(|asked| asked.violation.is_none() && asked.partition == partition);
        let mine = mine.collect::<Vec<_>>();
        violations.extend(exactly_once(commits));
        violations.extend(acceptances(commits, &mine));
        violations.extend(refusals(commits, &mine));
        violations.extend(times(commits));
        violations.extend(own_writes(commits, &world.seen.lock(), &whose));
    }
    violations
}

/// No command took effect twice.
fn exactly_once(commits: &[Landed]) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let twice = |Landed { decoded, .. }: &Landed| {
        let first = seen.insert(decoded.commit.command, decoded.position)?;
        Some(format!("{} took effect at {first} and at {}", decoded.commit.command, decoded.position))
    };
    commits.iter().filter_map(twice).collect()
}

/// Whoever was told that a command took effect finds it in the log, where they were told; and whoever was told how a saga
/// came out was told so when it had.
fn acceptances(commits: &[Landed], asked: &[&Asked]) -> Vec<String> {
    let at: BTreeMap<Offset, &Landed> = commits.iter().map(|landed| (landed.decoded.position.offset, landed)).collect();
    let missing = |asked: &&Asked| {
        let id = asked.request.id;
        match &asked.answer {
            Answer::Accepted(receipt) | Answer::Repeated(receipt) => {
                match at.get(&receipt.position.offset).map(|landed| &landed.decoded.commit) {
                    Some(commit) if commit.command == id && commit.time == receipt.time => None,
                    Some(commit) => {
                        Some(format!("{id} was accepted at {}, where {} is", receipt.position, commit.command))
                    }
                    None => Some(format!("{id} was accepted at {}, where nothing valid is", receipt.position)),
                }
            }
            Answer::Ended(Receipt { position, .. }, ended) => {
                let Command::Saga(SagaCommand::Start { saga, data, .. }) = &asked.request.command else {
                    return Some(format!("{id} begins no saga, but was told {ended:?}"));
                };
                // The position is where it changed its own key last, which may be before its end.
                let acted = at.get(&position.offset).is_some_and(|found| found.saga() == Some(*saga));
                let by_then = || commits.iter().filter(|landed| landed.decoded.position.offset < asked.to);
                let mut of_saga = by_then().filter(|landed| landed.saga() == Some(*saga)).flat_map(Landed::events);
                let came_out = match ended {
                    Ended::Completed => of_saga.any(|event| fulfils(&data.process, event)),
                    Ended::Compensated { .. } => of_saga.any(|e| matches!(e, Event::Saga(SagaEvent::Compensated(_)))),
                    Ended::Stuck { .. } => false,
                };
                (!acted || !came_out)
                    .then(|| format!("{id} was told {ended:?} at {position}, where the saga did not act, or not so"))
            }
            _ => None,
        }
    };
    asked.iter().filter_map(missing).collect()
}

/// Whether whoever wanted a saga of this kind has what they wanted once this has happened in one of its commits.
fn fulfils(process: &str, event: &Event) -> bool {
    match process {
        "USER_REGISTRATION" => matches!(event, Event::Saga(SagaEvent::Completed(_))),
        "POST_CREATION" => matches!(event, Event::Post(PostEvent::DraftPublished(_))),
        "USER_RENAME" => matches!(event, Event::User(UserEvent::EmailChanged(_) | UserEvent::UsernameChanged(_))),
        "USER_BLOCK" => matches!(event, Event::Block(BlockEvent::Started(_))),
        "USER_DELETION" => matches!(event, Event::User(UserEvent::Disabled(_))),
        _ => false,
    }
}

/// Whoever was told that nothing happened was told the truth: at some moment between question and answer the log was
/// such that a sound owner would have said the same.
fn refusals(commits: &[Landed], asked: &[&Asked]) -> Vec<String> {
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
        let following = next.peek().map_or(Offset::MAX, |landed| landed.decoded.position.offset);
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
            Some(Landed { decoded, .. }) => {
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

/// Whose what is, and who is gone by when: of those nothing needs to be seen.
struct Whose {
    posts: BTreeMap<PostId, UserId>,
    comments: BTreeMap<CommentId, UserId>,
    sessions: BTreeMap<SessionId, UserId>,
    gone: BTreeMap<UserId, Instant>,
}

impl Whose {
    fn of(book: &Book) -> Self {
        let (posts, comments, sessions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut whose = Self { posts, comments, sessions, gone: book.gone() };
        for (_, event) in book.events() {
            match event {
                Event::Post(PostEvent::Drafted(e)) => whose.posts.insert(e.post, e.author),
                Event::Comment(CommentEvent::Added(e)) => whose.comments.insert(e.comment, e.author),
                Event::Session(SessionEvent::Opened(e)) => whose.sessions.insert(e.session, e.user),
                _ => None,
            };
        }
        whose
    }

    /// Whether somebody whose it is was gone by then.
    fn is_gone(&self, thing: Thing, by: Instant) -> bool {
        let author = |post| self.posts.get(&post).copied();
        let of = match thing {
            Thing::Like(post, user) => [author(post), Some(user)],
            Thing::Post(post) | Thing::Draft(post, _) => [author(post), None],
            Thing::Comment(post, comment) => [author(post), self.comments.get(&comment).copied()],
            Thing::Session(session) => [self.sessions.get(&session).copied(), None],
            Thing::Name(user, _) => [Some(user), None],
        };
        of.into_iter().flatten().any(|user| self.gone.get(&user).is_some_and(|since| *since <= by))
    }
}

/// Whoever wrote something read it, or what somebody made of it later.
fn own_writes(commits: &[Landed], seen: &[Seen], whose: &Whose) -> Vec<String> {
    let partition = commits.first().map(|landed| landed.decoded.position.partition);
    let missed = |seen: &&Seen| {
        let mut there = false;
        for landed in commits.iter().take_while(|landed| landed.decoded.position.offset < seen.to) {
            for event in landed.events() {
                there = changed(seen.thing, event).unwrap_or(there);
            }
            if landed.decoded.position.offset >= seen.position.offset && there == seen.there {
                return None;
            }
        }
        let Seen { position, thing, there, .. } = seen;
        if !there && whose.is_gone(*thing, seen.at) {
            return None;
        }
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
        (Thing::Draft(post, _), Event::Post(PostEvent::Drafted(e))) => (e.post == post).then_some(true),
        (Thing::Post(post), Event::Post(PostEvent::DraftPublished(e))) => (e.post == post).then_some(true),
        (Thing::Draft(post, _), Event::Post(PostEvent::DraftDropped(e))) => (e.post == post).then_some(false),
        (Thing::Comment(_, comment), Event::Comment(CommentEvent::Added(e))) => (e.comment == comment).then_some(true),
        (Thing::Comment(_, comment), Event::Comment(CommentEvent::Deleted(e))) => {
            (e.comment == comment).then_some(false)
        }
        // What lies under a deleted post is gone.
        (
            Thing::Post(post) | Thing::Draft(post, _) | Thing::Like(post, _) | Thing::Comment(post, _),
            Event::Post(PostEvent::Deleted(e)),
        ) => (e.post == post).then_some(false),
        (Thing::Name(user, claim), Event::User(UserEvent::Created(e))) => {
            (e.user == user).then_some(e.username_claim == claim)
        }
        (Thing::Name(user, claim), Event::User(UserEvent::UsernameChanged(e))) => {
            (e.user == user).then_some(e.claimed.claim == claim)
        }
        (Thing::Session(session), Event::Session(SessionEvent::Opened(e))) => (e.session == session).then_some(true),
        (Thing::Session(session), Event::Session(SessionEvent::Closed(e))) => (e.session == session).then_some(false),
        _ => None,
    }
}

/// Time and ordinals never go back.
fn times(commits: &[Landed]) -> Vec<String> {
    let commits = || commits.iter().map(|landed| &landed.decoded);
    let ordinals = commits().zip(0..).filter(|(decoded, n)| decoded.commit.ordinal != *n);
    let ordinals =
        ordinals.map(|(decoded, n)| format!("{} is commit {n}, not {}", decoded.position, decoded.commit.ordinal));
    let back = commits().zip(commits().skip(1)).filter(|(before, after)| after.commit.time < before.commit.time);
    let back = back.map(|(_, after)| format!("time goes back at {}", after.position));
    ordinals.chain(back).collect()
}
