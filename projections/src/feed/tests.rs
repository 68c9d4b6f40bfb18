//! Drafts in the feed of their author, whatever comes first: the slot or the post.

use super::*;
use crate::given::{Given, at, seal, user};
use events::{
    Content, FeedSlotCommitted, FeedSlotReleased, FeedSlotReserved, FollowStarted, Key, PostDeleted, PostDraftDropped,
    PostDraftPublished, PostDrafted, SagaId, UserDisabled,
};
use uuid::Uuid;

const SAGA: SagaId = SagaId(Uuid::nil());

fn post(n: u128) -> PostId {
    PostId(Uuid::from_u128(n))
}

fn on_post(feed: &Given<Feed>, n: u128, seconds: i64, event: impl Into<Event>) {
    feed.tell(Key::Post(post(n)), at(seconds), [event.into()]);
}

fn on_user(feed: &Given<Feed>, of: UserId, seconds: i64, event: impl Into<Event>) {
    feed.tell(Key::User(of), at(seconds), [event.into()]);
}

fn publish(feed: &Given<Feed>, n: u128, author: UserId, seconds: i64) {
    let content = seal(author, &Content::parse("hello").unwrap());
    on_post(feed, n, 1, PostDrafted { post: post(n), author, content, hashtags: None, mentions: None });
    on_post(feed, n, seconds, PostDraftPublished { post: post(n), author });
}

fn reserve(feed: &Given<Feed>, n: u128, user: UserId, seconds: i64) {
    on_user(feed, user, seconds, FeedSlotReserved { user, post: post(n), saga: SAGA });
}

fn commit(feed: &Given<Feed>, n: u128, user: UserId) {
    on_user(feed, user, 9, FeedSlotCommitted { user, post: post(n), saga: SAGA });
}

/// The whole list, in pages of one.
fn of(feed: &Given<Feed>, user: UserId) -> Vec<(PostId, Option<Timestamp>)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let Listing { items, next } = feed.latest(user, Page { limit: 1, after });
        all.extend(items.into_iter().map(|post| (post, next.map(|(time, _)| time))));
        if next.is_none() {
            return all;
        }
        after = next;
    }
}

fn posts(feed: &Given<Feed>, user: UserId) -> Vec<PostId> {
    of(feed, user).into_iter().map(|(post, _)| post).collect()
}

#[test]
fn a_draft_is_in_its_authors_feed_alone_at_the_time_of_its_slot() {
    let feed = Given::<Feed>::default();
    on_user(&feed, user(2), 1, FollowStarted { follower: user(2), followee: user(1) });
    publish(&feed, 1, user(1), 4);
    reserve(&feed, 2, user(1), 3);
    reserve(&feed, 3, user(1), 5);
    assert_eq!(of(&feed, user(1)), [(post(3), Some(at(5))), (post(1), Some(at(4))), (post(2), None)]);
    assert_eq!(posts(&feed, user(2)), [post(1)]);
}

#[test]
fn the_post_counts_where_both_it_and_its_slot_are_here_and_is_there_once() {
    let feed = Given::<Feed>::default();
    publish(&feed, 1, user(1), 4);
    publish(&feed, 2, user(1), 6);
    reserve(&feed, 2, user(1), 3);
    reserve(&feed, 1, user(1), 9);
    assert_eq!(of(&feed, user(1)), [(post(2), Some(at(6))), (post(1), None)]);
    commit(&feed, 1, user(1));
    commit(&feed, 2, user(1));
    assert_eq!(posts(&feed, user(1)), [post(2), post(1)]);
}

#[test]
fn a_released_slot_takes_the_draft_out_and_one_that_was_never_reserved_changes_nothing() {
    let feed = Given::<Feed>::default();
    publish(&feed, 1, user(1), 4);
    reserve(&feed, 2, user(1), 3);
    for n in [1, 2, 3] {
        on_user(&feed, user(1), 5, FeedSlotReleased { user: user(1), post: post(n), saga: SAGA });
    }
    assert_eq!(posts(&feed, user(1)), [post(1)]);
}

#[test]
fn a_draft_that_was_dropped_deleted_or_cannot_be_read_does_not_become_a_post() {
    let mut feed = Given::<Feed>::default();
    feed.keys.destroyed.insert(user(2));
    for (n, author) in [(1, user(1)), (2, user(1)), (3, user(2))] {
        let content = seal(author, &Content::parse("hello").unwrap());
        on_post(&feed, n, 1, PostDrafted { post: post(n), author, content, hashtags: None, mentions: None });
    }
    on_post(&feed, 1, 2, PostDraftDropped { post: post(1), author: user(1) });
    on_post(&feed, 2, 2, PostDeleted { post: post(2), author: user(1) });
    for (n, author) in [(1, user(1)), (2, user(1)), (3, user(2))] {
        on_post(&feed, n, 3, PostDraftPublished { post: post(n), author });
        assert!(posts(&feed, author).is_empty());
    }
}

#[test]
fn a_disabled_user_has_no_drafts_and_follows_nobody() {
    let feed = Given::<Feed>::default();
    on_user(&feed, user(1), 1, FollowStarted { follower: user(1), followee: user(2) });
    publish(&feed, 1, user(2), 4);
    publish(&feed, 2, user(1), 4);
    reserve(&feed, 3, user(1), 3);
    on_user(&feed, user(1), 5, UserDisabled { user: user(1) });
    assert_eq!(posts(&feed, user(1)), [post(2)], "posts go by their own deletion");
}
