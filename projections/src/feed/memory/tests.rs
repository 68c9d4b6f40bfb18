//! Drafts in the feed of their author, whatever comes first: the slot or the post; and feeds without those who are gone.

use super::*;
use crate::given::{Given, at, hidden, now, seal, user};
use events::{
    Content, Event, FeedSlotCommitted, FeedSlotReleased, FeedSlotReserved, FollowEnded, FollowStarted, Key,
    PostDeleted, PostDraftDropped, PostDraftPublished, PostDrafted, PostPublished, SagaId, Timestamp, UserDisabled,
    UserKeyDestroyed,
};

const SAGA: SagaId = SagaId(Uuid::nil());

fn post(n: u128) -> PostId {
    PostId(Uuid::from_u128(n))
}

fn on_post(feed: &Given<MemoryFeed>, n: u128, seconds: i64, event: impl Into<Event>) {
    feed.tell(Key::Post(post(n)), at(seconds), [event.into()]);
}

fn on_user(feed: &Given<MemoryFeed>, of: UserId, seconds: i64, event: impl Into<Event>) {
    feed.tell(Key::User(of), at(seconds), [event.into()]);
}

fn publish(feed: &Given<MemoryFeed>, n: u128, author: UserId, seconds: i64) {
    let content = seal(author, &Content::parse("hello").unwrap());
    on_post(feed, n, 1, PostDrafted { post: post(n), author, content, hashtags: None, mentions: None });
    on_post(feed, n, seconds, PostDraftPublished { post: post(n), author });
}

fn reserve(feed: &Given<MemoryFeed>, n: u128, user: UserId, seconds: i64) {
    on_user(feed, user, seconds, FeedSlotReserved { user, post: post(n), saga: SAGA });
}

fn commit(feed: &Given<MemoryFeed>, n: u128, user: UserId) {
    on_user(feed, user, 9, FeedSlotCommitted { user, post: post(n), saga: SAGA });
}

fn page(feed: &Given<MemoryFeed>, user: UserId, page: Page, hidden: &Hidden) -> Listing<PostId> {
    now(feed.latest(user, page, hidden)).unwrap()
}

/// The whole list, in pages of one.
fn of(feed: &Given<MemoryFeed>, user: UserId) -> Vec<(PostId, Option<Timestamp>)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let Listing { items, next } = page(feed, user, Page { limit: 1, after }, &Hidden::NOBODY);
        all.extend(items.into_iter().map(|post| (post, next.map(|(time, _)| time))));
        if next.is_none() {
            return all;
        }
        after = next;
    }
}

fn posts(feed: &Given<MemoryFeed>, user: UserId) -> Vec<PostId> {
    of(feed, user).into_iter().map(|(post, _)| post).collect()
}

#[test]
fn a_draft_is_in_its_authors_feed_alone_at_the_time_of_its_slot() {
    let feed = Given::<MemoryFeed>::default();
    on_user(&feed, user(2), 1, FollowStarted { follower: user(2), followee: user(1) });
    publish(&feed, 1, user(1), 4);
    reserve(&feed, 2, user(1), 3);
    reserve(&feed, 3, user(1), 5);
    assert_eq!(of(&feed, user(1)), [(post(3), Some(at(5))), (post(1), Some(at(4))), (post(2), None)]);
    assert_eq!(posts(&feed, user(2)), [post(1)]);
}

#[test]
fn the_post_counts_where_both_it_and_its_slot_are_here_and_is_there_once() {
    let feed = Given::<MemoryFeed>::default();
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
    let feed = Given::<MemoryFeed>::default();
    publish(&feed, 1, user(1), 4);
    reserve(&feed, 2, user(1), 3);
    for n in [1, 2, 3] {
        on_user(&feed, user(1), 5, FeedSlotReleased { user: user(1), post: post(n), saga: SAGA });
    }
    assert_eq!(posts(&feed, user(1)), [post(1)]);
}

#[test]
fn a_draft_that_was_dropped_deleted_or_cannot_be_read_does_not_become_a_post() {
    let mut feed = Given::<MemoryFeed>::default();
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

/// User 1 posts, drafts and follows user 2; user 2 follows user 1 and posts.
fn busy(feed: &Given<MemoryFeed>) {
    for (follower, followee) in [(user(1), user(2)), (user(2), user(1))] {
        on_user(feed, follower, 1, FollowStarted { follower, followee });
    }
    publish(feed, 1, user(1), 4);
    publish(feed, 2, user(2), 5);
    for n in [3, 4] {
        let content = seal(user(1), &Content::parse("hello").unwrap());
        on_post(feed, n, 6, PostDrafted { post: post(n), author: user(1), content, hashtags: None, mentions: None });
    }
    reserve(feed, 3, user(1), 6);
    let content = seal(user(1), &Content::parse("at once").unwrap());
    on_post(feed, 5, 7, PostPublished { post: post(5), author: user(1), content, hashtags: None, mentions: None });
}

#[test]
fn whoever_is_gone_is_in_nobodys_feed_and_has_none_whether_they_went_before_or_after() {
    for first in [true, false] {
        for gone in [Event::from(UserDisabled { user: user(1) }), UserKeyDestroyed { user: user(1) }.into()] {
            let feed = Given::<MemoryFeed>::default();
            if first {
                on_user(&feed, user(1), 0, gone.clone());
            }
            busy(&feed);
            on_user(&feed, user(1), 8, gone);
            on_post(&feed, 4, 9, PostDraftPublished { post: post(4), author: user(1) });
            assert_eq!(posts(&feed, user(2)), [post(2)]);
            assert!(posts(&feed, user(1)).is_empty());
            let data = feed.store.read();
            assert!(!data.posts.contains_key(&user(1)) && data.slots.is_empty() && data.drafts.is_empty());
            assert!(!data.followees.contains_key(&user(1)));
        }
    }
}

#[test]
fn a_follow_of_whoever_is_gone_leads_to_nothing_until_it_is_ended() {
    let feed = Given::<MemoryFeed>::default();
    busy(&feed);
    on_user(&feed, user(1), 8, UserDisabled { user: user(1) });
    on_user(&feed, user(3), 8, FollowStarted { follower: user(3), followee: user(1) });
    for follower in [user(2), user(3)] {
        on_user(&feed, follower, 9, FollowEnded { follower, followee: user(1) });
    }
    assert!(feed.store.read().followees.is_empty());
}

#[test]
fn whoever_is_hidden_is_left_out_and_pages_are_full_all_the_same() {
    let feed = Given::<MemoryFeed>::default();
    for followee in 2..=4 {
        on_user(&feed, user(1), 1, FollowStarted { follower: user(1), followee: user(followee) });
    }
    for n in 1..=8 {
        publish(&feed, n, user(n % 4 + 1), i64::try_from(n).unwrap());
    }
    let hidden = hidden(&[user(2)], &[user(3), user(1)]);
    let first = page(&feed, user(1), Page { limit: 3, after: None }, &hidden);
    assert_eq!(first.items, [8, 7, 4].map(post), "one's own are always there");
    let second = page(&feed, user(1), Page { limit: 3, after: first.next }, &hidden);
    assert_eq!((second.items, second.next), (vec![post(3)], None));
}
