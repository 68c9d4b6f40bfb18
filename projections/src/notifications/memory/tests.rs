//! What is taken back, and what becomes of notifications when somebody is gone or a post is.

use super::*;
use crate::given::{Given, at, hidden, now, seal, user};
use crate::log::MemoryKeys;
use crate::notifications::{Deed, TAKEN_BACK_MAX};
use events::{
    Content, Event, FollowEnded, FollowStarted, Key, LikeAdded, LikeRemoved, PostDeleted, PostDraftPublished,
    PostDrafted, PostId, PostPublished, UserDisabled,
};
use uuid::Uuid;

const ALL: Page = Page { limit: 100, after: None };
const SOON: i64 = TAKEN_BACK_MAX.as_secs() as i64;

type Told = Given<MemoryNotifications>;

fn nothing() -> Told {
    let model = MemoryNotifications::new(Arc::new(MemoryKeys::default()));
    Given { model, keys: MemoryKeys::default(), actor: None }
}

fn post(n: u128) -> PostId {
    PostId(Uuid::from_u128(n))
}

fn tell(told: &Told, n: u128, seconds: i64, event: impl Into<Event>) {
    told.tell(Key::Post(post(n)), at(seconds), [event.into()]);
}

/// A post of one person, the number of whom is that of the post.
fn publish(told: &Told, n: u128) {
    let content = seal(user(n), &Content::parse("hello").unwrap());
    tell(told, n, 0, PostPublished { post: post(n), author: user(n), content, hashtags: None, mentions: None });
}

fn like(told: &Told, n: u128, by: u128, seconds: i64) {
    tell(told, n, seconds, LikeAdded { post: post(n), user: user(by) });
}

fn unlike(told: &Told, n: u128, by: u128, seconds: i64) {
    tell(told, n, seconds, LikeRemoved { post: post(n), user: user(by) });
}

fn follow(told: &Told, by: u128, whom: u128, seconds: i64) {
    told.tell(Key::User(user(by)), at(seconds), [FollowStarted { follower: user(by), followee: user(whom) }]);
}

fn unfollow(told: &Told, by: u128, whom: u128, seconds: i64) {
    told.tell(Key::User(user(by)), at(seconds), [FollowEnded { follower: user(by), followee: user(whom) }]);
}

fn leave(told: &Told, n: u128) {
    told.tell(Key::User(user(n)), at(9_000), [UserDisabled { user: user(n) }]);
}

/// What somebody hears, newest first: who did what, and when in seconds.
fn heard(told: &Told, by: u128, hidden: &Hidden) -> Vec<(UserId, Deed, i64)> {
    let (listing, unread) = now(told.list(user(by), ALL, hidden)).unwrap();
    assert_eq!(listing.items.len(), unread, "all of it is unread");
    assert_eq!(now(told.unread(user(by), hidden)), Ok(unread));
    listing.items.into_iter().map(|it| (it.actor, it.deed, it.created_at.seconds())).collect()
}

#[test]
fn a_follow_and_a_like_are_heard_of_newest_first_and_never_of_oneself() {
    let told = nothing();
    publish(&told, 1);
    follow(&told, 2, 1, 1);
    like(&told, 1, 3, 2);
    like(&told, 1, 1, 3);
    let (follow, like) = (Deed::Follow { followee: user(1) }, Deed::Like { post: post(1) });
    assert_eq!(heard(&told, 1, &Hidden::NOBODY), [(user(3), like, 2), (user(2), follow, 1)]);
    assert_eq!(heard(&told, 2, &Hidden::NOBODY), []);
}

#[test]
fn what_is_undone_soon_is_taken_back_and_later_it_stays() {
    let told = nothing();
    publish(&told, 1);
    for (by, undone) in [(2, SOON), (3, SOON + 1)] {
        like(&told, 1, by, 0);
        unlike(&told, 1, by, undone);
        follow(&told, by, 1, 0);
        unfollow(&told, by, 1, undone);
    }
    let actors = heard(&told, 1, &Hidden::NOBODY).into_iter().map(|(actor, ..)| actor).collect::<Vec<_>>();
    assert_eq!(actors, [user(3), user(3)]);
}

#[test]
fn done_undone_and_done_again_is_one_notification_of_the_time_that_was_not_taken_back() {
    let told = nothing();
    publish(&told, 1);
    like(&told, 1, 2, 0);
    unlike(&told, 1, 2, 1);
    like(&told, 1, 2, 5);
    let like_of = |seconds| [(user(2), Deed::Like { post: post(1) }, seconds)];
    assert_eq!(heard(&told, 1, &Hidden::NOBODY), like_of(5));
    unlike(&told, 1, 2, 6 + SOON);
    like(&told, 1, 2, 7 + SOON);
    unlike(&told, 1, 2, 8 + SOON);
    assert_eq!(heard(&told, 1, &Hidden::NOBODY), like_of(5), "the later like told nothing new");
}

#[test]
fn what_those_did_who_are_hidden_or_muted_is_neither_listed_nor_counted() {
    let told = nothing();
    (2..=4).for_each(|by| follow(&told, by, 1, 0));
    assert_eq!(heard(&told, 1, &hidden(&[user(2)], &[user(3)])).len(), 1);
}

#[test]
fn with_a_post_goes_what_was_to_be_heard_of_it() {
    let told = nothing();
    publish(&told, 1);
    like(&told, 1, 2, 1);
    tell(&told, 1, 2, PostDeleted { post: post(1), author: user(1) });
    assert_eq!(heard(&told, 1, &Hidden::NOBODY), []);
    like(&told, 1, 3, 3);
    assert!(told.store.read().is_empty(), "nothing is kept of it");
}

#[test]
fn nothing_is_heard_of_a_draft_and_of_its_post_once_it_is_published() {
    let told = nothing();
    let content = seal(user(1), &Content::parse("hello").unwrap());
    tell(&told, 1, 0, PostDrafted { post: post(1), author: user(1), content, hashtags: None, mentions: None });
    like(&told, 1, 2, 1);
    assert_eq!(heard(&told, 1, &Hidden::NOBODY), []);
    tell(&told, 1, 2, PostDraftPublished { post: post(1), author: user(1) });
    like(&told, 1, 3, 3);
    assert_eq!(heard(&told, 1, &Hidden::NOBODY).len(), 1);
}

#[test]
fn nobody_hears_of_those_who_are_gone_nor_they_of_anything_whichever_is_known_first() {
    for first in [true, false] {
        let told = nothing();
        publish(&told, 1);
        publish(&told, 2);
        if first {
            leave(&told, 2);
        }
        follow(&told, 2, 1, 1);
        like(&told, 1, 2, 1);
        follow(&told, 3, 2, 1);
        like(&told, 2, 3, 1);
        if !first {
            leave(&told, 2);
        }
        assert_eq!((heard(&told, 1, &Hidden::NOBODY), heard(&told, 2, &Hidden::NOBODY)), (vec![], vec![]));
        follow(&told, 3, 1, 2);
        assert_eq!(heard(&told, 1, &Hidden::NOBODY).len(), 1);
    }
}

#[test]
fn pages_go_on_where_the_one_before_ended_among_those_of_one_time_too() {
    let told = nothing();
    (2..=6).for_each(|by| follow(&told, by, 1, i64::try_from(by / 4).unwrap()));
    let (all, _) = now(told.list(user(1), ALL, &Hidden::NOBODY)).unwrap();
    let (mut walked, mut after) = (Vec::new(), None);
    loop {
        let (page, unread) = now(told.list(user(1), Page { limit: 2, after }, &Hidden::NOBODY)).unwrap();
        assert_eq!(unread, 5);
        walked.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
        assert_eq!(after, walked.last().map(Notification::place));
    }
    assert_eq!(walked, all.items);
}

#[test]
fn an_id_is_that_of_the_deed_and_of_the_keyring() {
    let of = |by| {
        let told = nothing();
        follow(&told, by, 1, 0);
        now(told.list(user(1), ALL, &Hidden::NOBODY)).unwrap().0.items[0].id
    };
    assert_eq!(of(2), of(2));
    assert_ne!(of(2), of(3));
    assert_eq!(of(2).to_string().len(), 24);
}
