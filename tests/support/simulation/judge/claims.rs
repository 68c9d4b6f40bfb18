//! Addresses and names: each has one holder at a time, also through renames and deletions; whoever is known by one holds it
//! all the while; and in the end nobody else holds any.

use super::super::book::{Book, Landed};
use events::{ClaimEvent, Digest, Event, Key, SagaEvent, SagaId, UserEvent, UserId};
use sagas::deletion::DeletionData;
use sagas::rename::RenameData;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// A claim: its key, and which reservation of it.
type Claim = (String, u64);

/// A reservation of an address or a name.
#[derive(Debug)]
struct Reservation {
    saga: SagaId,
    user: UserId,
    since: Instant,
    until: Option<Instant>,
    confirmed: bool,
}

/// What was promised of claims and not kept.
pub(super) fn violations(book: &Book) -> Vec<String> {
    let (reservations, mut violations) = reservations(book);
    let mut last: BTreeSet<Claim> = BTreeSet::new();
    for Known { user, claim, since, until } in known(book) {
        let (key, version) = &claim;
        match reservations.get(&claim) {
            Some(held) if held.user == user && held.since <= since => {
                let early = held.until.is_some_and(|released| until.is_none_or(|until| released < until));
                if early {
                    violations.push(format!("{key} was given back while {user} was known by it"));
                }
                if until.is_none() && !held.confirmed {
                    violations.push(format!("{key} is {user}'s, but not for good: {held:?}"));
                }
            }
            held => violations.push(format!("{user} is known by {key}, reservation {version} of which is {held:?}")),
        }
        if until.is_none() && !last.insert(claim.clone()) {
            violations.push(format!("{key} belongs to {user} and to somebody else"));
        }
    }
    let left = reservations.iter().filter(|(claim, held)| held.until.is_none() && !last.contains(*claim));
    violations.extend(left.map(|((key, _), held)| format!("{key} is held, but nobody is known by it: {held:?}")));
    violations
}

/// Every reservation, as the claims' own keys tell it; nobody took what another one held.
fn reservations(book: &Book) -> (BTreeMap<Claim, Reservation>, Vec<String>) {
    let (mut all, mut violations) = (BTreeMap::<Claim, Reservation>::new(), Vec::new());
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    let mut given_back: BTreeSet<(String, SagaId)> = BTreeSet::new();
    let vacaters = vacaters(book);
    for (Landed { decoded, at }, event) in book.events() {
        let Event::Claim(event) = event else { continue };
        let (position, key) = (decoded.position, decoded.key.to_string());
        let version = newest.get(&key).copied().unwrap_or_default();
        let held = all.get_mut(&(key.clone(), version)).filter(|held| held.until.is_none());
        match event {
            ClaimEvent::Reserved(e) => {
                if let Some(held) = held {
                    violations.push(format!("{key} was taken at {position}, though {held:?} held it"));
                }
                if given_back.contains(&(key.clone(), e.saga)) {
                    violations
                        .push(format!("{key} was taken at {position} for saga {}, which had undone that", e.saga));
                }
                if e.version <= version {
                    violations.push(format!("{key} was taken at {position} as {} after {version}", e.version));
                }
                newest.insert(key.clone(), e.version);
                let (saga, user, since) = (e.saga, e.user, *at);
                all.insert((key, e.version), Reservation { saga, user, since, until: None, confirmed: false });
            }
            ClaimEvent::Confirmed(e) => match held {
                Some(held) if held.saga == e.saga && version == e.version => held.confirmed = true,
                held => violations.push(format!("{key} was confirmed at {position} for {}, but is {held:?}", e.saga)),
            },
            ClaimEvent::Released(e) => {
                given_back.insert((key.clone(), e.saga));
                let Some(user) = e.user else { continue };
                match held {
                    Some(held) if held.user == user && held.saga == e.saga => held.until = Some(*at),
                    Some(held) if held.user == user && vacaters.get(&e.saga) == Some(&user) => held.until = Some(*at),
                    held => violations.push(format!("{key} was given back at {position} by {e:?}, but is {held:?}")),
                }
            }
        }
    }
    (all, violations)
}

/// The sagas that give back what a person had before, and whose they are.
fn vacaters(book: &Book) -> BTreeMap<SagaId, UserId> {
    let vacater = |(_, event): (&Landed, &Event)| {
        let Event::Saga(SagaEvent::Started(started)) = event else { return None };
        let user = match &*started.data.process {
            "USER_RENAME" => started.data.read::<RenameData>().map(|data| data.user).ok()?,
            "USER_DELETION" => started.data.read::<DeletionData>().map(|data| data.user).ok()?,
            _ => return None,
        };
        Some((started.saga, user))
    };
    book.events().filter_map(vacater).collect()
}

/// That somebody is known by an address or a name, and how long.
struct Known {
    user: UserId,
    claim: Claim,
    since: Instant,
    until: Option<Instant>,
}

/// Everything that accounts were ever known by, as their own keys tell it.
fn known(book: &Book) -> Vec<Known> {
    let mut all = Vec::new();
    // By person and whether it is the name.
    let mut present: BTreeMap<(UserId, bool), Known> = BTreeMap::new();
    for (Landed { at, .. }, event) in book.events() {
        let Event::User(event) = event else { continue };
        let mut changes = |user: UserId, is_name: bool, to: Option<(Digest, u64)>| {
            if let Some(former) = present.remove(&(user, is_name)) {
                all.push(Known { until: Some(*at), ..former });
            }
            if let Some((digest, version)) = to {
                let key = if is_name { Key::Username(digest) } else { Key::Email(digest) };
                let claim = (key.to_string(), version);
                present.insert((user, is_name), Known { user, claim, since: *at, until: None });
            }
        };
        match event {
            UserEvent::Created(e) => {
                changes(e.user, false, Some((e.email_claim, e.email_version)));
                changes(e.user, true, Some((e.username_claim, e.username_version)));
            }
            UserEvent::EmailChanged(e) => changes(e.user, false, Some((e.claimed.claim, e.claimed.version))),
            UserEvent::UsernameChanged(e) => changes(e.user, true, Some((e.claimed.claim, e.claimed.version))),
            UserEvent::Disabled(e) => {
                changes(e.user, false, None);
                changes(e.user, true, None);
            }
            UserEvent::BioChanged(_)
            | UserEvent::PasswordChanged(_)
            | UserEvent::RoleChanged(_)
            | UserEvent::KeyDestroyed(_) => {}
        }
    }
    all.extend(present.into_values());
    all
}
