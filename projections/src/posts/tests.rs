//! Drafts, and what somebody left behind.

use super::*;
use crate::given::{Given, at, seal, user};
use events::{
    CommentAdded, CommentDeleted, CommentText, Content, Event, Key, LikeAdded, LikeRemoved, PostDeleted,
    PostDraftDropped, PostDraftPublished, PostDrafted, PostPublished,
};
use uuid::Uuid;

const ALL: Page = Page { limit: 100, after: None };

fn post(n: u128) -> PostId {
    PostId(Uuid::from_u128(n))
}

fn comment(n: u128) -> CommentId {
    CommentId(Uuid::from_u128(n))
}

fn tell(posts: &Given<Posts>, n: u128, seconds: i64, event: impl Into<Event>) {
    posts.tell(Key::Post(post(n)), at(seconds), [event.into()]);
}

fn draft(posts: &Given<Posts>, n: u128, author: UserId, seconds: i64) {
    let content = seal(author, &Content::parse("hello").unwrap());
    tell(posts, n, seconds, PostDrafted { post: post(n), author, content, hashtags: None, mentions: None });
}

fn publish(posts: &Given<Posts>, n: u128, author: UserId) {
    let content = seal(author, &Content::parse("hello").unwrap());
    tell(posts, n, 1, PostPublished { post: post(n), author, content, hashtags: None, mentions: None });
}

fn say(posts: &Given<Posts>, n: u128, under: u128, author: UserId) {
    let text = seal(author, &CommentText::parse("well").unwrap());
    tell(posts, under, 2, CommentAdded { comment: comment(n), post: post(under), author, text });
}

fn like(posts: &Given<Posts>, n: u128, user: UserId) {
    tell(posts, n, 2, LikeAdded { post: post(n), user });
}

#[test]
fn a_draft_is_there_for_its_author_alone_and_in_no_list() {
    let posts = Given::<Posts>::default();
    draft(&posts, 1, user(1), 5);
    like(&posts, 1, user(2));
    say(&posts, 1, 1, user(2));

    let seen = posts.post(post(1), Some(user(1))).unwrap();
    assert_eq!((seen.draft, seen.created_at, seen.likes_count, seen.comments_count), (true, at(5), 0, 0));
    assert_eq!(posts.posts(&[post(1)], Some(user(1))), [seen]);
    for viewer in [None, Some(user(2))] {
        assert_eq!(posts.post(post(1), viewer), None);
        assert!(posts.posts(&[post(1)], viewer).is_empty());
    }
    assert!(posts.latest(None, ALL).items.is_empty());
    assert!(posts.latest(Some(user(1)), ALL).items.is_empty());
    assert_eq!(posts.count_of(user(1)), 0);
    assert!(!posts.holds_trace(user(2)), "nothing lies under a draft");
}

#[test]
fn a_published_draft_is_a_post_since_it_was_published() {
    let posts = Given::<Posts>::default();
    draft(&posts, 1, user(1), 5);
    tell(&posts, 1, 7, PostDraftPublished { post: post(1), author: user(1) });
    let seen = posts.post(post(1), None).unwrap();
    assert_eq!((seen.draft, seen.created_at, &*seen.content), (false, at(7), "hello"));
    assert_eq!(posts.latest(None, ALL).items, [seen]);
    assert_eq!(posts.count_of(user(1)), 1);
    like(&posts, 1, user(2));
    assert_eq!(posts.liked(user(2), &[post(1)]), [true]);
}

#[test]
fn a_dropped_draft_is_gone_and_cannot_be_published() {
    let posts = Given::<Posts>::default();
    draft(&posts, 1, user(1), 5);
    tell(&posts, 1, 6, PostDraftDropped { post: post(1), author: user(1) });
    tell(&posts, 1, 7, PostDraftPublished { post: post(1), author: user(1) });
    assert_eq!(posts.post(post(1), Some(user(1))), None);
    assert!(!posts.holds_trace(user(1)));
}

#[test]
fn a_draft_whose_authors_key_is_destroyed_is_never_there() {
    let mut posts = Given::<Posts>::default();
    posts.keys.destroyed.insert(user(1));
    draft(&posts, 1, user(1), 5);
    assert_eq!(posts.post(post(1), Some(user(1))), None);
    tell(&posts, 1, 7, PostDraftPublished { post: post(1), author: user(1) });
    assert!(posts.latest(None, ALL).items.is_empty());
}

#[test]
fn somebody_leaves_posts_and_drafts_and_what_they_did_under_posts_of_others() {
    let posts = Given::<Posts>::default();
    publish(&posts, 1, user(1));
    draft(&posts, 2, user(1), 1);
    publish(&posts, 3, user(2));
    for person in [user(1), user(2)] {
        [1, 3].into_iter().for_each(|n| like(&posts, n, person));
    }
    say(&posts, 1, 1, user(1));
    say(&posts, 2, 3, user(1));
    let expected =
        Traces { posts: vec![post(1), post(2)], comments: vec![(post(3), comment(2))], likes: vec![post(3)] };
    assert_eq!(posts.traces(user(1), 10), expected);
    assert_eq!(posts.traces(user(1), 3), Traces { likes: Vec::new(), ..expected });
    assert_eq!(posts.traces(user(2), 10), Traces { posts: vec![post(3)], likes: vec![post(1)], ..Traces::default() });
}

#[test]
fn what_is_taken_back_or_goes_with_its_post_is_no_trace() {
    let posts = Given::<Posts>::default();
    for n in [1, 2] {
        publish(&posts, n, user(1));
        like(&posts, n, user(2));
        say(&posts, n, n, user(2));
    }
    tell(&posts, 1, 3, LikeRemoved { post: post(1), user: user(2) });
    tell(&posts, 1, 3, CommentDeleted { comment: comment(1), post: post(1), author: user(2) });
    let left = Traces { comments: vec![(post(2), comment(2))], likes: vec![post(2)], ..Traces::default() };
    assert_eq!(posts.traces(user(2), 10), left);
    tell(&posts, 2, 4, PostDeleted { post: post(2), author: user(1) });
    assert!(!posts.holds_trace(user(2)));
}
