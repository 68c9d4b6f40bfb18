//! After a simulation: the promises of the write side one by one, each by a fold of its own that knows nothing of the
//! owner's state.

use super::check::{self, Asked};
use super::network::{Carried, LANDS_LATE_MAX, Sending, sending};
use super::world::World;
use commands::{Answer, Command, CommentCommand, PostCommand, SessionCommand, limits::CLOCK_TOLERANCE};
use events::{
    ClaimEvent, CommandId, CommentEvent, Event, Key, PostEvent, PostId, SagaEvent, SagaId, SessionEvent, UserEvent,
    UserId,
};
use journal::{DecodedCommit, Journal, Partition};
use sagas::registration::RegistrationData;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;
use uuid::Uuid;

/// What a client wanted once, however often it asked.
pub(super) struct Wanted {
    /// The key that it chose.
    pub(super) key: String,
    /// The posts that its tries would have made.
    pub(super) tries: BTreeSet<PostId>,
    /// It was told that it has it.
    pub(super) accepted: bool,
}

/// A valid commit and when its record landed.
struct Landed {
    decoded: DecodedCommit,
    at: Instant,
}

impl Landed {
    fn events(&self) -> &[Event] {
        &self.decoded.commit.events
    }
}

/// Everything that was promised and not kept.
pub(super) async fn violations(world: &World) -> Vec<String> {
    let mut landed = Vec::new();
    for n in 0..world.log.partitions() {
        let at = world.log.landings(Partition(n));
        let commits = check::commits(&world.log, Partition(n)).await;
        landed.extend(commits.into_iter().map(|decoded| {
            let offset = usize::try_from(decoded.position.offset).expect("fits in memory");
            Landed { at: at[offset], decoded }
        }));
    }
    let carried = world.network.carried();
    let asked = world.asked.lock();
    let mut violations = claims(&landed);
    violations.extend(sagas(&landed));
    violations.extend(created(&landed, &asked));
    violations.extend(deadlines(&landed, &carried));
    violations.extend(without_effect(&landed, &asked, &carried));
    violations.extend(times(world, &landed));
    violations.extend(wanted(&landed, &world.wanted.lock()));
    violations
}

/// Who holds an address or a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Holder {
    saga: SagaId,
    user: UserId,
    version: u64,
    confirmed: bool,
}

/// Nobody took what another one held; in the end each user holds exactly its two, and nobody else holds anything.
fn claims(landed: &[Landed]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut holders: BTreeMap<String, Holder> = BTreeMap::new();
    let mut due: BTreeMap<String, (UserId, u64)> = BTreeMap::new();
    let mut released: BTreeSet<(String, SagaId)> = BTreeSet::new();
    for Landed { decoded, .. } in landed {
        let (at, key) = (decoded.position, decoded.key.to_string());
        for event in &decoded.commit.events {
            match event {
                Event::Claim(ClaimEvent::Reserved(e)) => {
                    let holder = Holder { saga: e.saga, user: e.user, version: e.version, confirmed: false };
                    if let Some(former) = holders.insert(key.clone(), holder) {
                        violations.push(format!("{key} was taken at {at}, though {former:?} held it"));
                    }
                    if released.contains(&(key.clone(), e.saga)) {
                        violations.push(format!("{key} was taken at {at} for saga {}, which had undone that", e.saga));
                    }
                }
                Event::Claim(ClaimEvent::Confirmed(e)) => match holders.get_mut(&key) {
                    Some(holder) if holder.saga == e.saga && holder.version == e.version => holder.confirmed = true,
                    other => violations.push(format!("{key} was confirmed at {at} for {}, but is {other:?}", e.saga)),
                },
                Event::Claim(ClaimEvent::Released(e)) => {
                    released.insert((key.clone(), e.saga));
                    if e.user.is_some() && holders.remove(&key).is_none_or(|holder| holder.saga != e.saga) {
                        violations.push(format!("{key} was released at {at} for {}, which did not hold it", e.saga));
                    }
                }
                Event::User(UserEvent::Created(e)) => {
                    let claims = [
                        (Key::Email(e.email_claim), e.email_version),
                        (Key::Username(e.username_claim), e.username_version),
                    ];
                    for (key, version) in claims {
                        if let Some((other, _)) = due.insert(key.to_string(), (e.user, version)) {
                            violations.push(format!("{key} belongs to user {other} and to user {}", e.user));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    for (key, holder) in &holders {
        match due.remove(key) {
            Some((user, version)) if (holder.user, holder.version, holder.confirmed) == (user, version, true) => {}
            due => violations.push(format!("{key} is held by {holder:?}, but should be by {due:?}")),
        }
    }
    violations.extend(due.into_iter().map(|(key, due)| format!("{key} is held by nobody, but should be by {due:?}")));
    violations
}

/// A saga begins once and ends once: complete, and the user is there, or compensated, and no user ever was.
fn sagas(landed: &[Landed]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut users: BTreeMap<SagaId, UserId> = BTreeMap::new();
    let mut created: BTreeSet<UserId> = BTreeSet::new();
    let mut ended: BTreeMap<SagaId, bool> = BTreeMap::new();
    for Landed { decoded, .. } in landed {
        for event in &decoded.commit.events {
            let end = match event {
                Event::Saga(SagaEvent::Started(e)) => {
                    let user = e.data.read::<RegistrationData>().map(|data| data.user);
                    if users.insert(e.saga, user.expect("the simulation only registers")).is_some() {
                        violations.push(format!("saga {} began twice", e.saga));
                    }
                    continue;
                }
                Event::User(UserEvent::Created(e)) => {
                    if !created.insert(e.user) {
                        violations.push(format!("user {} was created twice", e.user));
                    }
                    continue;
                }
                Event::Saga(SagaEvent::Completed(e)) => (e.saga, true),
                Event::Saga(SagaEvent::Compensated(e)) => (e.saga, false),
                Event::Saga(SagaEvent::CompensationFailed(e)) => {
                    violations.push(format!("saga {} cannot undo {}: {}", e.saga, e.step, e.error));
                    continue;
                }
                _ => continue,
            };
            if ended.insert(end.0, end.1).is_some() {
                violations.push(format!("saga {} ended twice", end.0));
            }
        }
    }
    for (saga, user) in &users {
        match ended.get(saga) {
            Some(completed) if *completed == created.contains(user) => {}
            end => violations.push(format!(
                "saga {saga} ended {end:?} (true is complete), and its user {user} exists: {}",
                created.contains(user)
            )),
        }
    }
    violations
}

/// What an event makes new, by an id that is never used again.
fn makes(event: &Event) -> Option<(&'static str, Uuid)> {
    match event {
        Event::Post(PostEvent::Published(e)) => Some(("post", e.post.0)),
        Event::Comment(CommentEvent::Added(e)) => Some(("comment", e.comment.0)),
        Event::Session(SessionEvent::Opened(e)) => Some(("session", e.session.0)),
        _ => None,
    }
}

/// Nothing is made twice, and whoever was told that something was made finds it under its id.
fn created(landed: &[Landed], asked: &[Asked]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut made: BTreeSet<(&str, Uuid)> = BTreeSet::new();
    for new in landed.iter().flat_map(Landed::events).filter_map(makes) {
        if !made.insert(new) {
            violations.push(format!("{} {} was made twice", new.0, new.1));
        }
    }
    for Asked { request, answer, .. } in asked.iter().filter(|asked| asked.violation.is_none()) {
        let new = match &request.command {
            Command::Post(PostCommand::Publish { post, .. }) => ("post", post.0),
            Command::Comment(CommentCommand::Add { comment, .. }) => ("comment", comment.0),
            Command::Session(SessionCommand::Open { session, .. }) => ("session", session.0),
            _ => continue,
        };
        if matches!(answer, Answer::Accepted(_) | Answer::Repeated(_)) && !made.contains(&new) {
            violations.push(format!("{} was told that {} {} was made, and it was not", request.id, new.0, new.1));
        }
    }
    violations
}

/// Nothing is decided past its deadline, and what an owner has called too late never takes effect; unless it was undone
/// since, of which an owner knows no more.
fn deadlines(landed: &[Landed], carried: &BTreeMap<Sending, Carried>) -> Vec<String> {
    let undone: BTreeSet<CommandId> = landed.iter().filter_map(|landed| landed.decoded.commit.undoes).collect();
    let late = |landed: &Landed| {
        let (commit, at) = (&landed.decoded.commit, landed.decoded.position);
        let (id, carried) =
            (commit.command, carried.get(&(commit.command, commit.fingerprint.map(|fingerprint| fingerprint.0)))?);
        if landed.at > carried.deadline + LANDS_LATE_MAX {
            return Some(format!("{id} landed at {at}, {:?} after its deadline", landed.at - carried.deadline));
        }
        // Said when every deadline had passed with which it was ever sent.
        let said = carried.expired.filter(|said| *said > carried.deadline && !undone.contains(&id))?;
        let when = if landed.at < said { "before" } else { "after" };
        Some(format!("{id} was called expired, but took effect at {at}, {when} that"))
    };
    landed.iter().filter_map(late).collect()
}

/// Whoever was told once that nothing came of a request, and asked no more, finds nothing of it; unless the network
/// made a second request of it, which may find things changed.
fn without_effect(landed: &[Landed], asked: &[Asked], carried: &BTreeMap<Sending, Carried>) -> Vec<String> {
    let took_effect: BTreeMap<CommandId, &Landed> =
        landed.iter().map(|landed| (landed.decoded.commit.command, landed)).collect();
    let mut times: BTreeMap<CommandId, usize> = BTreeMap::new();
    asked.iter().for_each(|asked| *times.entry(asked.request.id).or_default() += 1);
    let broken = |asked: &&Asked| {
        let (id, answer) = (asked.request.id, &asked.answer);
        let nothing = matches!(answer, Answer::Refused(_) | Answer::Unchanged(_) | Answer::Overloaded);
        let doubled = carried.get(&sending(&asked.request)).is_none_or(|carried| carried.doubled);
        let landed = took_effect.get(&id).filter(|_| nothing && !doubled && times.get(&id) == Some(&1))?;
        Some(format!("{id} was told {answer:?}, but took effect at {}", landed.decoded.position))
    };
    asked.iter().filter(|asked| asked.violation.is_none()).filter_map(|asked| broken(&asked)).collect()
}

/// No commit carries a time that no owner's clock has shown.
fn times(world: &World, landed: &[Landed]) -> Vec<String> {
    world.note_the_time();
    let Some((earliest, latest)) = *world.clock_range.lock() else { return Vec::new() };
    let latest = latest.plus(CLOCK_TOLERANCE);
    let foreign = |landed: &&Landed| {
        let time = landed.decoded.commit.time;
        time > latest || time.plus(CLOCK_TOLERANCE) < earliest
    };
    let say = |landed: &Landed| format!("the commit at {} carries a foreign time", landed.decoded.position);
    landed.iter().filter(foreign).map(say).collect()
}

/// Whoever wanted one thing has one, however often it asked.
fn wanted(landed: &[Landed], wanted: &[Wanted]) -> Vec<String> {
    let published = |event: &Event| match event {
        Event::Post(PostEvent::Published(e)) => Some(e.post),
        _ => None,
    };
    let published: BTreeSet<PostId> = landed.iter().flat_map(Landed::events).filter_map(published).collect();
    let broken = |wanted: &Wanted| {
        let posts = wanted.tries.intersection(&published).count();
        let kept = if wanted.accepted { posts == 1 } else { posts <= 1 };
        (!kept).then(|| format!("under the key {} there are {posts} posts (told so: {})", wanted.key, wanted.accepted))
    };
    wanted.iter().filter_map(broken).collect()
}
