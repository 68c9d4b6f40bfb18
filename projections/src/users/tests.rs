//! Accounts that change their claims and roles, and accounts that go.

use super::*;
use crate::given::{Given, at, seal, user};
use events::{
    Bio, BioChanged, Email, EmailChanged, Event, FollowEnded, FollowStarted, Key, RoleChanged, UserCreated,
    UserDisabled, UserKeyDestroyed, Username, UsernameChanged,
};

const ALL: Page = Page { limit: 100, after: None };

fn claim(n: u8) -> Digest {
    Digest([n; 32])
}

fn tell(users: &Given<Users>, of: UserId, event: impl Into<Event>) {
    users.tell(Key::User(of), at(1), [event.into()]);
}

fn create(users: &Given<Users>, user: UserId, n: u8, version: u64) {
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

fn rename(users: &Given<Users>, user: UserId, n: u8, version: u64) {
    let claimed = Claimed { claim: claim(n), version };
    let email = seal(user, &Email::parse(&format!("u{n}@example.com")).unwrap());
    let username = seal(user, &Username::parse(&format!("user_{n}")).unwrap());
    tell(users, user, EmailChanged { user, email, claimed });
    tell(users, user, UsernameChanged { user, username, claimed });
}

fn follow(users: &Given<Users>, follower: UserId, followee: UserId) {
    tell(users, follower, FollowStarted { follower, followee });
}

fn holder(users: &Users, n: u8) -> Option<UserId> {
    let holder = users.by_username(claim(n));
    assert_eq!(users.credentials(claim(n)).map(|credentials| credentials.user), holder);
    holder
}

#[test]
fn a_renamed_account_is_found_by_its_new_claim_and_no_longer_by_the_old_one() {
    let users = Given::<Users>::default();
    create(&users, user(1), 1, 1);
    rename(&users, user(1), 2, 1);
    assert_eq!((holder(&users, 1), holder(&users, 2)), (None, Some(user(1))));
    let profile = users.profile(user(1)).unwrap();
    assert_eq!((&*profile.email, &*profile.username), ("u2@example.com", "user_2"));
    let claimed = Claimed { claim: claim(2), version: 1 };
    assert_eq!(users.claims(user(1)), Some(Claims { email: claimed, username: claimed }));
}

#[test]
fn what_was_given_up_is_its_new_holders_in_whatever_order_the_two_are_seen() {
    for new_first in [true, false] {
        let users = Given::<Users>::default();
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
    let users = Given::<Users>::default();
    create(&users, user(1), 1, 1);
    rename(&users, user(1), 2, 1);
    create(&users, user(2), 1, 2);
    rename(&users, user(2), 3, 1);
    rename(&users, user(1), 1, 3);
    assert_eq!([1, 2, 3].map(|n| holder(&users, n)), [Some(user(1)), None, Some(user(2))]);
}

#[test]
fn a_role_is_that_of_the_last_change_and_nobody_has_one_without_an_account() {
    let users = Given::<Users>::default();
    let change = |role| {
        let changed = RoleChanged { user: user(1), role, by: None, reason: "a test".to_owned() };
        tell(&users, user(1), changed);
    };
    change(Role::Operator);
    assert_eq!(users.role(user(1)), Role::User);
    create(&users, user(1), 1, 1);
    assert_eq!(users.role(user(1)), Role::User);
    change(Role::Operator);
    assert_eq!(users.role(user(1)), Role::Operator);
    tell(&users, user(1), UserDisabled { user: user(1) });
    assert_eq!(users.role(user(1)), Role::User);
}

#[test]
fn a_disabled_account_is_nowhere_but_in_what_its_deletion_asks() {
    let users = Given::<Users>::default();
    (1..=2).for_each(|n| create(&users, user(n.into()), n, 1));
    follow(&users, user(1), user(2));
    follow(&users, user(2), user(1));
    tell(&users, user(1), UserDisabled { user: user(1) });
    rename(&users, user(1), 3, 1);
    create(&users, user(1), 1, 1);

    assert!(users.is_disabled(user(1)) && !users.holds(user(1)));
    assert_eq!(users.profile(user(1)), None);
    assert!(users.authors(&[user(1)]).is_empty());
    assert_eq!((holder(&users, 1), holder(&users, 3)), (None, None));
    assert_eq!(users.relation(user(2), user(1)), Relation::default());
    let other = users.profile(user(2)).unwrap();
    assert_eq!((other.follower_count, other.following_count), (0, 0));
    assert!(users.followers(user(2), ALL).items.is_empty() && users.following(user(2), ALL).items.is_empty());

    let related = Related { followers: vec![user(2)], following: vec![user(2)] };
    assert_eq!(users.related(user(1), 10), related);
    assert_eq!(users.related(user(1), 1), Related { following: Vec::new(), ..related });
    assert_eq!(users.claims(user(1)).unwrap().email.claim, claim(3));
}

#[test]
fn nothing_is_kept_of_somebody_whose_key_and_follows_are_gone() {
    let users = Given::<Users>::default();
    (1..=2).for_each(|n| create(&users, user(n.into()), n, 1));
    follow(&users, user(2), user(1));
    tell(&users, user(1), UserDisabled { user: user(1) });
    tell(&users, user(1), UserKeyDestroyed { user: user(1) });
    assert_eq!(users.claims(user(1)), None);
    assert_eq!(users.related(user(1), 10).followers, [user(2)]);
    tell(&users, user(2), FollowEnded { follower: user(2), followee: user(1) });
    assert!(users.related(user(1), 10).is_empty());
    assert!(users.store.read().node(user(1)).is_none());
    assert!(users.is_disabled(user(1)));
}

#[test]
fn an_account_whose_new_texts_cannot_be_read_is_not_there() {
    let mut users = Given::<Users>::default();
    create(&users, user(1), 1, 1);
    users.keys.destroyed.insert(user(1));
    rename(&users, user(1), 2, 1);
    assert!(!users.holds(user(1)) && !users.is_disabled(user(1)));
    assert_eq!((holder(&users, 1), holder(&users, 2)), (None, None));
    assert_eq!(users.claims(user(1)).unwrap().username.claim, claim(2));
}

#[test]
fn a_destroyed_key_frees_the_texts_of_an_account_that_was_never_disabled() {
    let users = Given::<Users>::default();
    create(&users, user(1), 1, 1);
    let bio = Some(seal(user(1), &Bio::parse("hello").unwrap()));
    tell(&users, user(1), BioChanged { user: user(1), bio });
    assert!(users.holds(user(1)));
    tell(&users, user(1), UserKeyDestroyed { user: user(1) });
    assert!(!users.holds(user(1)));
    assert_eq!((users.profile(user(1)), holder(&users, 1)), (None, None));
}

#[test]
fn who_is_gone_is_known_and_need_not_be_waited_for() {
    let users = Given::<Users>::default();
    (1..=3).for_each(|n| create(&users, user(n.into()), n, 1));
    tell(&users, user(2), UserDisabled { user: user(2) });
    tell(&users, user(3), UserKeyDestroyed { user: user(3) });
    assert!(users.are_known(&[1, 2, 3].map(user)) && users.are_known(&[]));
    assert!(!users.are_known(&[1, 2, 3, 4].map(user)), "the fourth may be on the way");
}
