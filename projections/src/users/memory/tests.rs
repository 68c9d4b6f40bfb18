//! Accounts that change their claims and roles, that block and mute each other, and accounts that go.

use super::*;
use crate::given::{Given, at, now, seal, user};
use crate::users::Relation;
use events::{
    Bio, BioChanged, BlockEnded, BlockStarted, Claimed, Email, EmailChanged, Event, FollowEnded, FollowStarted, Key,
    MuteEnded, MuteStarted, PasswordHash, RoleChanged, UserCreated, UserDisabled, UserKeyDestroyed, Username,
    UsernameChanged,
};

const ALL: Page = Page { limit: 100, after: None };

fn claim(n: u8) -> Digest {
    Digest([n; 32])
}

fn tell(users: &Given<MemoryUsers>, of: UserId, event: impl Into<Event>) {
    users.tell(Key::User(of), at(1), [event.into()]);
}

fn create(users: &Given<MemoryUsers>, user: UserId, n: u8, version: u64) {
    let created = UserCreated {
        user,
        email: seal(user, &Email::parse(&format!("u{n}@example.com")).unwrap()),
        username: seal(user, &Username::parse(&format!("user_{n}")).unwrap()),
        password: seal(user, &PasswordHash::new(format!("hash {n}"))),
        email_claim: claim(n),
        email_version: version,
        username_claim: claim(n),
        username_version: version,
    };
    tell(users, user, created);
}

fn rename(users: &Given<MemoryUsers>, user: UserId, n: u8, version: u64) {
    let claimed = Claimed { claim: claim(n), version };
    let email = seal(user, &Email::parse(&format!("u{n}@example.com")).unwrap());
    let username = seal(user, &Username::parse(&format!("user_{n}")).unwrap());
    tell(users, user, EmailChanged { user, email, claimed });
    tell(users, user, UsernameChanged { user, username, claimed });
}

fn follow(users: &Given<MemoryUsers>, follower: UserId, followee: UserId) {
    tell(users, follower, FollowStarted { follower, followee });
}

fn holder(users: &MemoryUsers, n: u8) -> Option<UserId> {
    let holder = now(users.by_username(claim(n))).unwrap();
    assert_eq!(now(users.credentials(claim(n))).unwrap().map(|credentials| credentials.user), holder);
    holder
}

#[test]
fn a_renamed_account_is_found_by_its_new_claim_and_no_longer_by_the_old_one() {
    let users = Given::<MemoryUsers>::default();
    create(&users, user(1), 1, 1);
    rename(&users, user(1), 2, 1);
    assert_eq!((holder(&users, 1), holder(&users, 2)), (None, Some(user(1))));
    let profile = now(users.profile(user(1))).unwrap().unwrap();
    assert_eq!((&*profile.email, &*profile.username), ("u2@example.com", "user_2"));
    let claimed = Claimed { claim: claim(2), version: 1 };
    assert_eq!(now(users.claims(user(1))).unwrap(), Some(Claims { email: claimed, username: claimed }));
}

#[test]
fn what_was_given_up_is_its_new_holders_in_whatever_order_the_two_are_seen() {
    for new_first in [true, false] {
        let users = Given::<MemoryUsers>::default();
        create(&users, user(1), 1, 1);
        if new_first {
            create(&users, user(2), 1, 2);
            assert_eq!(holder(&users, 1), Some(user(2)));
        }
        rename(&users, user(1), 3, 1);
        if !new_first {
            create(&users, user(2), 1, 2);
        }
        assert_eq!((holder(&users, 1), holder(&users, 3)), (Some(user(2)), Some(user(1))));
    }
}

#[test]
fn a_name_that_went_round_is_its_last_holders() {
    let users = Given::<MemoryUsers>::default();
    create(&users, user(1), 1, 1);
    rename(&users, user(1), 2, 1);
    create(&users, user(2), 1, 2);
    rename(&users, user(2), 3, 1);
    rename(&users, user(1), 1, 3);
    assert_eq!([1, 2, 3].map(|n| holder(&users, n)), [Some(user(1)), None, Some(user(2))]);
}

#[test]
fn a_role_is_that_of_the_last_change_and_nobody_has_one_without_an_account() {
    let users = Given::<MemoryUsers>::default();
    let change = |role| {
        let changed = RoleChanged { user: user(1), role, by: None, reason: "a test".to_owned() };
        tell(&users, user(1), changed);
    };
    change(Role::Operator);
    assert_eq!(now(users.role(user(1))).unwrap(), Role::User);
    create(&users, user(1), 1, 1);
    assert_eq!(now(users.role(user(1))).unwrap(), Role::User);
    change(Role::Operator);
    assert_eq!(now(users.role(user(1))).unwrap(), Role::Operator);
    tell(&users, user(1), UserDisabled { user: user(1) });
    assert_eq!(now(users.role(user(1))).unwrap(), Role::User);
}

#[test]
fn a_disabled_account_is_nowhere_but_in_what_its_deletion_asks() {
    let users = Given::<MemoryUsers>::default();
    (1..=2).for_each(|n| create(&users, user(n.into()), n, 1));
    follow(&users, user(1), user(2));
    follow(&users, user(2), user(1));
    tell(&users, user(1), UserDisabled { user: user(1) });
    rename(&users, user(1), 3, 1);
    create(&users, user(1), 1, 1);

    assert!(now(users.is_disabled(user(1))).unwrap() && !now(users.holds(user(1))).unwrap());
    assert_eq!(now(users.profile(user(1))).unwrap(), None);
    assert!(now(users.authors(&[user(1)])).unwrap().is_empty());
    assert_eq!((holder(&users, 1), holder(&users, 3)), (None, None));
    assert_eq!(now(users.relation(user(2), user(1))).unwrap(), Relation::default());
    let other = now(users.profile(user(2))).unwrap().unwrap();
    assert_eq!((other.follower_count, other.following_count), (0, 0));
    assert!(
        now(users.list(List::Followers, user(2), ALL, &Hidden::NOBODY)).unwrap().items.is_empty()
            && now(users.list(List::Following, user(2), ALL, &Hidden::NOBODY)).unwrap().items.is_empty()
    );

    let related = Related { followers: vec![user(2)], following: vec![user(2)], ..Related::default() };
    assert_eq!(now(users.related(user(1), 10)).unwrap(), related);
    assert_eq!(now(users.related(user(1), 1)).unwrap(), Related { following: Vec::new(), ..related });
    assert_eq!(now(users.claims(user(1))).unwrap().unwrap().email.claim, claim(3));
}

#[test]
fn nothing_is_kept_of_somebody_whose_key_and_follows_are_gone() {
    let users = Given::<MemoryUsers>::default();
    (1..=2).for_each(|n| create(&users, user(n.into()), n, 1));
    follow(&users, user(2), user(1));
    tell(&users, user(1), UserDisabled { user: user(1) });
    tell(&users, user(1), UserKeyDestroyed { user: user(1) });
    assert_eq!(now(users.claims(user(1))).unwrap(), None);
    assert_eq!(now(users.related(user(1), 10)).unwrap().followers, [user(2)]);
    tell(&users, user(2), FollowEnded { follower: user(2), followee: user(1) });
    assert!(now(users.related(user(1), 10)).unwrap().is_empty());
    assert!(users.store.read().node(user(1)).is_none());
    assert!(now(users.is_disabled(user(1))).unwrap());
}

#[test]
fn an_account_whose_new_texts_cannot_be_read_is_not_there() {
    let mut users = Given::<MemoryUsers>::default();
    create(&users, user(1), 1, 1);
    users.keys.destroyed.insert(user(1));
    rename(&users, user(1), 2, 1);
    assert!(!now(users.holds(user(1))).unwrap() && !now(users.is_disabled(user(1))).unwrap());
    assert_eq!((holder(&users, 1), holder(&users, 2)), (None, None));
    assert_eq!(now(users.claims(user(1))).unwrap().unwrap().username.claim, claim(2));
}

#[test]
fn a_destroyed_key_frees_the_texts_of_an_account_that_was_never_disabled() {
    let users = Given::<MemoryUsers>::default();
    create(&users, user(1), 1, 1);
    let bio = Some(seal(user(1), &Bio::parse("hello").unwrap()));
    tell(&users, user(1), BioChanged { user: user(1), bio });
    assert!(now(users.holds(user(1))).unwrap());
    tell(&users, user(1), UserKeyDestroyed { user: user(1) });
    assert!(!now(users.holds(user(1))).unwrap());
    assert_eq!((now(users.profile(user(1))).unwrap(), holder(&users, 1)), (None, None));
}

#[test]
fn who_is_gone_is_known_and_need_not_be_waited_for() {
    let users = Given::<MemoryUsers>::default();
    (1..=3).for_each(|n| create(&users, user(n.into()), n, 1));
    tell(&users, user(2), UserDisabled { user: user(2) });
    tell(&users, user(3), UserKeyDestroyed { user: user(3) });
    assert!(now(users.are_known(&[1, 2, 3].map(user))).unwrap() && now(users.are_known(&[])).unwrap());
    assert!(!now(users.are_known(&[1, 2, 3, 4].map(user))).unwrap(), "the fourth may be on the way");
}

fn block(users: &Given<MemoryUsers>, user: UserId, target: UserId) {
    tell(users, user, BlockStarted { user, target });
}

fn unblock(users: &Given<MemoryUsers>, user: UserId, target: UserId) {
    tell(users, user, BlockEnded { user, target });
}

fn three() -> Given<MemoryUsers> {
    let users = Given::<MemoryUsers>::default();
    (1..=3).for_each(|n| create(&users, user(n.into()), n, 1));
    users
}

#[test]
fn a_block_hides_both_from_each_other_and_from_nobody_else() {
    let users = three();
    follow(&users, user(2), user(1));
    follow(&users, user(3), user(1));
    block(&users, user(1), user(2));
    let hides = |viewer, other| now(users.hidden_from(user(viewer))).unwrap().hides(user(other));
    assert!(hides(1, 2) && hides(2, 1) && !hides(1, 3) && !hides(3, 1) && !hides(3, 2));
    let relation = now(users.relation(user(1), user(2))).unwrap();
    assert_eq!(relation, Relation { blocking: true, ..Relation::default() }, "the follow is about to be severed");
    let relation = now(users.relation(user(2), user(1))).unwrap();
    assert_eq!(relation, Relation { blocked_by: true, ..Relation::default() });
    let names = |hidden: &Hidden| {
        now(users.list(List::Followers, user(1), ALL, hidden))
            .unwrap()
            .items
            .iter()
            .map(|it| it.user)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&now(users.hidden_from(user(2))).unwrap()), [user(3), user(2)]);
    assert_eq!(names(&now(users.hidden_from(user(1))).unwrap()), [user(3)]);
    assert_eq!(
        now(users.list(List::Blocks, user(1), ALL, &Hidden::NOBODY))
            .unwrap()
            .items
            .iter()
            .map(|it| it.user)
            .collect::<Vec<_>>(),
        [user(2)]
    );
    assert!(now(users.list(List::Blocks, user(2), ALL, &Hidden::NOBODY)).unwrap().items.is_empty());
}

#[test]
fn who_block_each_other_are_apart_until_both_have_ended_it() {
    for (first, second) in [(1, 2), (2, 1)] {
        let users = three();
        block(&users, user(1), user(2));
        block(&users, user(2), user(1));
        unblock(&users, user(first), user(second));
        assert!([1, 2].map(|n| now(users.hidden_from(user(n))).unwrap().hides(user(3 - n))) == [true, true]);
        unblock(&users, user(second), user(first));
        assert!([1, 2].map(|n| now(users.hidden_from(user(n))).unwrap().hides(user(3 - n))) == [false, false]);
        assert!(users.store.read().barriers.is_empty());
    }
}

#[test]
fn an_answer_is_made_from_one_look_whatever_changes_meanwhile() {
    let users = three();
    block(&users, user(1), user(2));
    let look = now(users.hidden_from(user(1))).unwrap();
    unblock(&users, user(1), user(2));
    block(&users, user(3), user(1));
    assert!(look.hides(user(2)) && !look.hides(user(3)));
    let look = now(users.hidden_from(user(1))).unwrap();
    assert!(!look.hides(user(2)) && look.hides(user(3)));
}

#[test]
fn a_mute_hides_from_the_muters_feed_alone() {
    let users = three();
    tell(&users, user(1), MuteStarted { user: user(1), target: user(2) });
    let hidden = now(users.hidden_from(user(1))).unwrap();
    assert!(hidden.hides_in_feed(user(2)) && !hidden.hides(user(2)));
    assert!(!now(users.hidden_from(user(2))).unwrap().hides_in_feed(user(1)));
    assert!(
        now(users.relation(user(1), user(2))).unwrap().muting && !now(users.relation(user(2), user(1))).unwrap().muting
    );
    assert_eq!(now(users.list(List::Mutes, user(1), ALL, &Hidden::NOBODY)).unwrap().items.len(), 1);
    tell(&users, user(1), MuteEnded { user: user(1), target: user(2) });
    assert!(!now(users.hidden_from(user(1))).unwrap().hides_in_feed(user(2)));
    assert!(users.store.read().barriers.is_empty());
}

#[test]
fn a_deletion_finds_blocks_and_mutes_both_ways() {
    let users = three();
    block(&users, user(1), user(2));
    block(&users, user(3), user(1));
    tell(&users, user(2), MuteStarted { user: user(2), target: user(1) });
    tell(&users, user(1), MuteStarted { user: user(1), target: user(3) });
    tell(&users, user(1), UserDisabled { user: user(1) });
    assert!(
        now(users.list(List::Blocks, user(3), ALL, &Hidden::NOBODY)).unwrap().items.is_empty()
            && now(users.list(List::Mutes, user(2), ALL, &Hidden::NOBODY)).unwrap().items.is_empty()
    );
    let all = Related {
        blocked_by: vec![user(3)],
        blocking: vec![user(2)],
        muted_by: vec![user(2)],
        muting: vec![user(3)],
        ..Related::default()
    };
    assert_eq!(now(users.related(user(1), 4)).unwrap(), all);
    assert_eq!(now(users.related(user(1), 3)).unwrap(), Related { muting: Vec::new(), ..all });
}
