//! Drafts, what somebody left behind, and what becomes of it when they are gone.

use super::*;
use crate::given::{Given, at, hidden, now, seal, user};
use crate::posts::VERSIONS_KEPT_MAX;
use events::{
    CommentAdded, CommentDeleted, CommentText, Content, Event, Hashtags, Key, LikeAdded, LikeRemoved, PostDeleted,
    PostDraftDropped, PostDraftPublished, PostDrafted, PostEdited, PostPublished, Sealed, UserDisabled,
    UserKeyDestroyed,
};
use uuid::Uuid;

const ALL: Page = Page { limit: 100, after: None };

fn post(n: u128) -> PostId {
    PostId(Uuid::from_u128(n))
}

fn comment(n: u128) -> CommentId {
    CommentId(Uuid::from_u128(n))
}

/// What a read model answers that is always there.
fn answer<T>(asked: impl Future<Output = Result<T, Unavailable>>) -> T {
    now(asked).unwrap()
}

fn tell(posts: &Given<MemoryPosts>, n: u128, seconds: i64, event: impl Into<Event>) {
    posts.tell(Key::Post(post(n)), at(seconds), [event.into()]);
}

fn draft(posts: &Given<MemoryPosts>, n: u128, author: UserId, seconds: i64) {
    let content = seal(author, &Content::parse("hello").unwrap());
    tell(posts, n, seconds, PostDrafted { post: post(n), author, content, hashtags: None, mentions: None });
}

fn publish(posts: &Given<MemoryPosts>, n: u128, author: UserId) {
    let content = seal(author, &Content::parse("hello").unwrap());
    tell(posts, n, 1, PostPublished { post: post(n), author, content, hashtags: None, mentions: None });
}

fn say(posts: &Given<MemoryPosts>, n: u128, under: u128, author: UserId) {
    let text = seal(author, &CommentText::parse("well").unwrap());
    tell(posts, under, 2, CommentAdded { comment: comment(n), post: post(under), author, text });
}

fn like(posts: &Given<MemoryPosts>, n: u128, user: UserId) {
    tell(posts, n, 2, LikeAdded { post: post(n), user });
}

#[test]
fn a_draft_is_there_for_its_author_alone_and_in_no_list() {
    let posts = Given::<MemoryPosts>::default();
    draft(&posts, 1, user(1), 5);
    like(&posts, 1, user(2));
    say(&posts, 1, 1, user(2));

    let seen = answer(posts.post(post(1), Some(user(1)))).unwrap();
    assert_eq!((seen.draft, seen.created_at, seen.likes_count, seen.comments_count), (true, at(5), 0, 0));
    assert_eq!(answer(posts.posts(&[post(1)], Some(user(1)))), [seen]);
    for viewer in [None, Some(user(2))] {
        assert_eq!(answer(posts.post(post(1), viewer)), None);
        assert!(answer(posts.posts(&[post(1)], viewer)).is_empty());
    }
    assert!(answer(posts.latest(None, ALL, &Hidden::NOBODY)).items.is_empty());
    assert!(answer(posts.latest(Some(user(1)), ALL, &Hidden::NOBODY)).items.is_empty());
    assert_eq!(answer(posts.counts_of(&[user(1)])), [0]);
    assert!(!answer(posts.holds_trace(user(2))), "nothing lies under a draft");
}

#[test]
fn a_published_draft_is_a_post_since_it_was_published() {
    let posts = Given::<MemoryPosts>::default();
    draft(&posts, 1, user(1), 5);
    tell(&posts, 1, 7, PostDraftPublished { post: post(1), author: user(1) });
    let seen = answer(posts.post(post(1), None)).unwrap();
    assert_eq!((seen.draft, seen.created_at, &*seen.content), (false, at(7), "hello"));
    assert_eq!(answer(posts.latest(None, ALL, &Hidden::NOBODY)).items, [seen]);
    assert_eq!(answer(posts.counts_of(&[user(1)])), [1]);
    like(&posts, 1, user(2));
    assert_eq!(answer(posts.liked(user(2), &[post(1)])), [true]);
}

#[test]
fn a_dropped_draft_is_gone_and_cannot_be_published() {
    let posts = Given::<MemoryPosts>::default();
    draft(&posts, 1, user(1), 5);
    tell(&posts, 1, 6, PostDraftDropped { post: post(1), author: user(1) });
    tell(&posts, 1, 7, PostDraftPublished { post: post(1), author: user(1) });
    assert_eq!(answer(posts.post(post(1), Some(user(1)))), None);
    assert!(!answer(posts.holds_trace(user(1))));
}

#[test]
fn a_draft_whose_authors_key_is_destroyed_is_never_there() {
    let mut posts = Given::<MemoryPosts>::default();
    posts.keys.destroyed.insert(user(1));
    draft(&posts, 1, user(1), 5);
    assert_eq!(answer(posts.post(post(1), Some(user(1)))), None);
    tell(&posts, 1, 7, PostDraftPublished { post: post(1), author: user(1) });
    assert!(answer(posts.latest(None, ALL, &Hidden::NOBODY)).items.is_empty());
}

#[test]
fn somebody_leaves_posts_and_drafts_and_what_they_did_under_posts_of_others() {
    let posts = Given::<MemoryPosts>::default();
    publish(&posts, 1, user(1));
    draft(&posts, 2, user(1), 1);
    publish(&posts, 3, user(2));
    for person in [user(1), user(2)] {
        [1, 3].into_iter().for_each(|n| like(&posts, n, person));
    }
    say(&posts, 1, 1, user(1));
    say(&posts, 2, 3, user(1));
    let expected = Traces {
        posts: vec![post(1)],
        comments: vec![(post(3), comment(2))],
        likes: vec![post(3)],
        drafts: vec![post(2)],
    };
    assert_eq!(answer(posts.traces(user(1), 10)), expected);
    assert_eq!(answer(posts.traces(user(1), 2)), Traces { likes: Vec::new(), drafts: Vec::new(), ..expected });
    assert_eq!(
        answer(posts.traces(user(2), 10)),
        Traces { posts: vec![post(3)], likes: vec![post(1)], ..Traces::default() }
    );
}

#[test]
fn what_is_taken_back_or_goes_with_its_post_is_no_trace() {
    let posts = Given::<MemoryPosts>::default();
    for n in [1, 2] {
        publish(&posts, n, user(1));
        like(&posts, n, user(2));
        say(&posts, n, n, user(2));
    }
    tell(&posts, 1, 3, LikeRemoved { post: post(1), user: user(2) });
    tell(&posts, 1, 3, CommentDeleted { comment: comment(1), post: post(1), author: user(2) });
    let left = Traces { comments: vec![(post(2), comment(2))], likes: vec![post(2)], ..Traces::default() };
    assert_eq!(answer(posts.traces(user(2), 10)), left);
    tell(&posts, 2, 4, PostDeleted { post: post(2), author: user(1) });
    assert!(!answer(posts.holds_trace(user(2))));
}

fn disable(posts: &Given<MemoryPosts>, user: UserId) {
    posts.tell(Key::User(user), at(9), [Event::from(UserDisabled { user })]);
}

/// User 1 has posted, drafted, commented and liked, also under their own post; user 2 has answered.
fn busy(posts: &Given<MemoryPosts>) {
    publish(posts, 1, user(1));
    draft(posts, 2, user(1), 1);
    draft(posts, 3, user(1), 1);
    tell(posts, 3, 3, PostDraftPublished { post: post(3), author: user(1) });
    publish(posts, 4, user(2));
    for n in [1, 3, 4] {
        [1, 2].into_iter().for_each(|person| like(posts, n, user(person)));
        say(posts, 10 * n, n, user(1));
        say(posts, 10 * n + 1, n, user(2));
    }
    let content = seal(user(1), &Content::parse("edited").unwrap());
    let edited = PostEdited { post: post(1), author: user(1), content, hashtags: None, mentions: None };
    tell(posts, 1, 4, edited);
}

fn of_user_1() -> Traces {
    let (comments, likes) = (vec![(post(4), comment(40))], vec![post(4)]);
    Traces { posts: [1, 3].map(post).into(), comments, likes, drafts: vec![post(2)] }
}

fn traces(posts: &MemoryPosts, user: UserId) -> Traces {
    let mut traces = answer(posts.traces(user, 100));
    traces.posts.sort();
    traces
}

/// Nothing of user 1 is there for anybody, and all of user 2 is.
fn check_that_user_1_is_nowhere(posts: &MemoryPosts) {
    for viewer in [None, Some(user(1)), Some(user(2))] {
        assert!([1, 2, 3].iter().all(|n| answer(posts.post(post(*n), viewer)).is_none()));
        assert!(answer(posts.posts(&[1, 2, 3].map(post), viewer)).is_empty());
    }
    assert_eq!(
        answer(posts.latest(None, ALL, &Hidden::NOBODY)).items.iter().map(|post| post.id).collect::<Vec<_>>(),
        [post(4)]
    );
    assert!(answer(posts.latest(Some(user(1)), ALL, &Hidden::NOBODY)).items.is_empty());
    assert_eq!(answer(posts.counts_of(&[user(1)])), [0]);
    for n in [1, 2, 3] {
        assert!(
            answer(posts.comments(post(n), ALL, &Hidden::NOBODY)).items.is_empty()
                && answer(posts.likes(post(n), ALL, &Hidden::NOBODY)).items.is_empty()
        );
        assert_eq!(answer(posts.comment(post(n), comment(10 * n + 1))), None);
    }
    let left = answer(posts.post(post(4), None)).unwrap();
    assert_eq!((left.comments_count, left.likes_count), (1, 1));
    assert_eq!(
        answer(posts.comments(post(4), ALL, &Hidden::NOBODY)).items.iter().map(|it| it.id).collect::<Vec<_>>(),
        [comment(41)]
    );
    assert_eq!(answer(posts.comment(post(4), comment(40))), None);
    assert_eq!(
        answer(posts.likes(post(4), ALL, &Hidden::NOBODY)).items.iter().map(|it| it.user).collect::<Vec<_>>(),
        [user(2)]
    );
    let all = [1, 2, 3, 4].map(post);
    assert_eq!(answer(posts.liked(user(1), &all)), [false; 4]);
    assert_eq!(answer(posts.liked(user(2), &all)), [false, false, false, true]);
    assert_eq!(traces(posts, user(1)), of_user_1(), "what the log holds can be found until it is deleted");
    let of_user_2 = Traces {
        posts: vec![post(4)],
        comments: vec![(post(1), comment(11)), (post(3), comment(31))],
        likes: vec![post(1), post(3)],
        drafts: Vec::new(),
    };
    assert_eq!(traces(posts, user(2)), of_user_2);
}

#[test]
fn nobody_sees_what_the_gone_have_left_whether_it_came_before_they_went_or_after() {
    for first in [true, false] {
        let posts = Given::<MemoryPosts>::default();
        if first {
            disable(&posts, user(1));
        }
        busy(&posts);
        disable(&posts, user(1));
        check_that_user_1_is_nowhere(&posts);
    }
}

#[test]
fn whose_key_is_destroyed_is_gone_as_whoever_was_disabled_is() {
    let live = Given::<MemoryPosts>::default();
    busy(&live);
    let mut rebuilt = Given::<MemoryPosts>::default();
    rebuilt.keys.destroyed.insert(user(1));
    busy(&rebuilt);
    for posts in [&live, &rebuilt] {
        posts.tell(Key::User(user(1)), at(9), [Event::from(UserKeyDestroyed { user: user(1) })]);
        check_that_user_1_is_nowhere(posts);
    }
}

#[test]
fn what_can_no_longer_be_read_is_there_for_nobody_but_a_deletion_before_the_log_says_why() {
    let mut posts = Given::<MemoryPosts>::default();
    publish(&posts, 1, user(1));
    publish(&posts, 2, user(2));
    posts.keys.destroyed.insert(user(1));
    say(&posts, 1, 2, user(1));
    like(&posts, 2, user(1));
    let content = seal(user(1), &Content::parse("edited").unwrap());
    tell(&posts, 1, 4, PostEdited { post: post(1), author: user(1), content, hashtags: None, mentions: None });
    assert_eq!(answer(posts.post(post(1), Some(user(1)))), None);
    let left = answer(posts.post(post(2), None)).unwrap();
    assert_eq!((left.comments_count, left.likes_count), (0, 1), "a like needs no key");
    let (comments, likes) = (vec![(post(2), comment(1))], vec![post(2)]);
    let expected = Traces { posts: vec![post(1)], comments, likes, drafts: Vec::new() };
    assert_eq!(answer(posts.traces(user(1), 10)), expected);
}

#[test]
fn nothing_is_kept_of_the_gone_once_what_they_left_is_deleted() {
    let posts = Given::<MemoryPosts>::default();
    busy(&posts);
    disable(&posts, user(1));
    tell(&posts, 4, 10, CommentDeleted { comment: comment(40), post: post(4), author: user(1) });
    tell(&posts, 4, 10, LikeRemoved { post: post(4), user: user(1) });
    assert!(posts.store.read().get(post(4)).unwrap().hides_nothing());
    say(&posts, 42, 4, user(1));
    like(&posts, 4, user(1));
    assert_eq!(traces(&posts, user(1)), Traces { comments: vec![(post(4), comment(42))], ..of_user_1() });
    [1, 2, 3, 4].into_iter().for_each(|n| tell(&posts, n, 11, PostDeleted { post: post(n), author: user(1) }));
    assert!(!answer(posts.holds_trace(user(1))) && !answer(posts.holds_trace(user(2))));
    assert!(posts.store.read().is_empty());
}

#[test]
fn a_list_has_nothing_of_the_gone_to_pass_over() {
    let posts = Given::<MemoryPosts>::default();
    publish(&posts, 1, user(2));
    (2..100).for_each(|n| publish(&posts, n, user(1)));
    disable(&posts, user(1));
    (100..110).for_each(|n| publish(&posts, n, user(1)));
    assert_eq!(posts.store.read().orders.latest.len(), 1);
}

fn tagged(posts: &MemoryPosts, tag: &str) -> Vec<PostId> {
    answer(posts.tagged(tag, ALL, &Hidden::NOBODY)).items.into_iter().map(|post| post.id).collect()
}

fn hashtags(author: UserId, tags: &[&str]) -> Option<Sealed<Hashtags>> {
    Some(seal(author, &Hashtags(tags.iter().map(|&tag| tag.to_owned()).collect())))
}

fn edit(posts: &Given<MemoryPosts>, n: u128, author: UserId, seconds: i64, text: &str, tags: &[&str]) {
    let content = seal(author, &Content::parse(text).unwrap());
    let edited = PostEdited { post: post(n), author, content, hashtags: hashtags(author, tags), mentions: None };
    tell(posts, n, seconds, edited);
}

#[test]
fn a_tag_leads_to_what_is_published_with_it_now() {
    let posts = Given::<MemoryPosts>::default();
    let content = seal(user(1), &Content::parse("#one #two").unwrap());
    let (one, two) = (hashtags(user(1), &["one"]), hashtags(user(1), &["two"]));
    let published = PostPublished { post: post(1), author: user(1), content, hashtags: one, mentions: None };
    tell(&posts, 1, 1, published.clone());
    tell(&posts, 2, 2, PostPublished { post: post(2), ..published.clone() });
    tell(&posts, 3, 3, PostPublished { post: post(3), author: user(2), ..published_by_2() });
    let PostPublished { content, mentions, .. } = published;
    tell(&posts, 4, 4, PostDrafted { post: post(4), author: user(1), content, hashtags: two, mentions });
    assert_eq!(tagged(&posts, "one"), [post(3), post(2), post(1)]);
    assert!(tagged(&posts, "two").is_empty(), "a draft is in no list");
    tell(&posts, 4, 5, PostDraftPublished { post: post(4), author: user(1) });
    edit(&posts, 1, user(1), 6, "#two", &["two"]);
    assert_eq!((tagged(&posts, "one"), tagged(&posts, "two")), (vec![post(3), post(2)], vec![post(4), post(1)]));
    tell(&posts, 2, 7, PostDeleted { post: post(2), author: user(1) });
    assert_eq!(tagged(&posts, "one"), [post(3)]);
    disable(&posts, user(1));
    assert!(tagged(&posts, "two").is_empty());
    assert_eq!(posts.store.read().orders.by_tag.len(), 1, "nothing is kept of a tag that nobody uses");
}

fn published_by_2() -> PostPublished {
    let content = seal(user(2), &Content::parse("#one").unwrap());
    let hashtags = hashtags(user(2), &["one"]);
    PostPublished { post: post(3), author: user(2), content, hashtags, mentions: None }
}

#[test]
fn every_version_is_kept_for_the_author_with_its_time() {
    let posts = Given::<MemoryPosts>::default();
    draft(&posts, 1, user(1), 5);
    tell(&posts, 1, 7, PostDraftPublished { post: post(1), author: user(1) });
    edit(&posts, 1, user(1), 8, "second", &["two"]);
    edit(&posts, 1, user(1), 8, "third", &[]);
    let all = answer(posts.versions(post(1), user(1), ALL)).items;
    let seen = all.iter().map(|it| (it.number, &*it.content, it.created_at)).collect::<Vec<_>>();
    assert_eq!(seen, [(3, "third", at(8)), (2, "second", at(8)), (1, "hello", at(7))]);
    assert_eq!((&*all[1].hashtags[0], answer(posts.post(post(1), None)).unwrap().version), ("two", 3));
    assert!(answer(posts.versions(post(1), user(2), ALL)).items.is_empty());
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let Listing { items, next } = answer(posts.versions(post(1), user(1), Page { limit: 1, after }));
        paged.extend(items);
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, all);
    disable(&posts, user(1));
    assert!(answer(posts.versions(post(1), user(1), ALL)).items.is_empty());
}

#[test]
fn of_a_post_that_is_edited_for_ever_the_newest_versions_are_kept() {
    let posts = Given::<MemoryPosts>::default();
    publish(&posts, 1, user(1));
    (2..=60).for_each(|n| edit(&posts, 1, user(1), n, "again", &[]));
    let numbers = answer(posts.versions(post(1), user(1), ALL)).items.iter().map(|it| it.number).collect::<Vec<_>>();
    assert_eq!(numbers, (60 - VERSIONS_KEPT_MAX as u64 + 1..=60).rev().collect::<Vec<_>>());
}

#[test]
fn what_one_did_with_posts_of_others_counts_while_it_is_there_and_recent() {
    let posts = Given::<MemoryPosts>::default();
    [1, 2, 3].into_iter().for_each(|n| publish(&posts, n, user(1)));
    publish(&posts, 4, user(2));
    for n in [1, 2, 4] {
        like(&posts, n, user(2));
        say(&posts, 10 * n, n, user(2));
    }
    tell(&posts, 3, 9, LikeAdded { post: post(3), user: user(2) });
    let acts = |since| answer(posts.acts(user(2), &[user(1), user(2), user(3)], at(since), 20));
    assert_eq!(acts(2), [(3, 2), (0, 0), (0, 0)], "one's own posts do not count");
    assert_eq!(acts(3), [(1, 0), (0, 0), (0, 0)]);
    assert_eq!(answer(posts.acts(user(2), &[user(1)], at(2), 1)), [(1, 1)]);
    tell(&posts, 1, 10, LikeRemoved { post: post(1), user: user(2) });
    tell(&posts, 1, 10, CommentDeleted { comment: comment(10), post: post(1), author: user(2) });
    tell(&posts, 3, 10, PostDeleted { post: post(3), author: user(1) });
    assert_eq!(acts(0)[0], (1, 1));
}

#[test]
fn whoever_is_hidden_is_in_no_list_and_pages_are_full_all_the_same() {
    let posts = Given::<MemoryPosts>::default();
    (1..=6).for_each(|n| publish(&posts, n, user(n % 3)));
    (1..=6).for_each(|n| say(&posts, n, 1, user(n % 3)));
    (0..3).for_each(|n| like(&posts, 1, user(n)));
    let hidden = hidden(&[user(2)], &[user(0)]);
    let two = Page { limit: 2, after: None };
    let latest = answer(posts.latest(None, two, &hidden));
    assert_eq!(latest.items.iter().map(|it| it.id).collect::<Vec<_>>(), [6, 4].map(post));
    let rest = answer(posts.latest(None, Page { after: latest.next, ..two }, &hidden));
    assert_eq!((rest.items.len(), rest.next), (2, None));
    assert!(answer(posts.latest(Some(user(2)), ALL, &hidden)).items.is_empty());
    let comments = answer(posts.comments(post(1), two, &hidden));
    assert_eq!(comments.items.iter().map(|it| it.id).collect::<Vec<_>>(), [1, 3].map(comment));
    assert_eq!(
        answer(posts.likes(post(1), ALL, &hidden)).items.iter().map(|it| it.user).collect::<Vec<_>>(),
        [1, 0].map(user)
    );
}
