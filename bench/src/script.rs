//! What people do: the same sequence of acts for every way of carrying them out, in process or over HTTP.
//!
//! Users and posts are drawn evenly, so no single key is hot. Likes and follows never repeat, so that each of them
//! writes: the pairs are walked through, not drawn.

use std::sync::atomic::{AtomicU64, Ordering};

/// Of a hundred acts of the mix, so many are each of these; the rest are follows.
const POSTS: u64 = 10;
const COMMENTS: u64 = 20;
const LIKES: u64 = 50;
/// The mix, in words.
pub(crate) const MIX: &str = "50 % likes, 20 % comments, 20 % follows, 10 % posts";

/// Which acts there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Load {
    /// Likes.
    Likes,
    /// [`MIX`].
    Mix,
    /// Reads of one post.
    Reads,
}

impl Load {
    /// For a table's title.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Likes => "likes",
            Self::Mix => MIX,
            Self::Reads => "reads of a post",
        }
    }
}

/// Something that somebody does; users and posts by their number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    Publish { author: usize },
    Comment { author: usize, post: usize },
    Like { user: usize, post: usize },
    Follow { follower: usize, followee: usize },
    Read { user: usize, post: usize },
}

/// The acts of a load among so many users and posts, one after another, whoever asks for the next.
#[derive(Debug)]
pub(crate) struct Script {
    load: Load,
    users: u64,
    posts: u64,
    acts: AtomicU64,
    likes: AtomicU64,
    follows: AtomicU64,
}

impl Script {
    /// The mix likes what the likes do not come to before half of all pairs are through, so that both can be carried out
    /// over the same users and posts.
    pub(crate) fn new(load: Load, users: usize, posts: usize) -> Self {
        let (users, posts) = (users as u64, posts as u64);
        let likes = AtomicU64::new(if load == Load::Mix { users * posts / 2 } else { 0 });
        Self { load, users, posts, acts: AtomicU64::new(0), likes, follows: AtomicU64::new(0) }
    }

    /// How many acts were begun.
    pub(crate) fn acts(&self) -> u64 {
        self.acts.load(Ordering::Relaxed)
    }

    pub(crate) fn next(&self) -> Act {
        let n = self.acts.fetch_add(1, Ordering::Relaxed);
        let drawn = scramble(n);
        let (user, post) = (drawn % self.users, (drawn >> 32) % self.posts);
        // 37 and 100 have no common divisor: every hundred acts hold each remainder once.
        let kind = n * 37 % 100;
        match self.load {
            Load::Likes => self.like(),
            Load::Reads => Act::Read { user: user as usize, post: post as usize },
            Load::Mix if kind < POSTS => Act::Publish { author: user as usize },
            Load::Mix if kind < POSTS + COMMENTS => Act::Comment { author: user as usize, post: post as usize },
            Load::Mix if kind < POSTS + COMMENTS + LIKES => self.like(),
            Load::Mix => self.follow(),
        }
    }

    fn like(&self) -> Act {
        let n = self.likes.fetch_add(1, Ordering::Relaxed);
        let (post, round) = (n % self.posts, n / self.posts);
        Act::Like { user: ((post + round) % self.users) as usize, post: post as usize }
    }

    fn follow(&self) -> Act {
        let n = self.follows.fetch_add(1, Ordering::Relaxed);
        let (follower, round) = (n % self.users, n / self.users);
        let followee = follower + 1 + round % (self.users - 1);
        Act::Follow { follower: follower as usize, followee: (followee % self.users) as usize }
    }
}

/// A number that follows from `n` and looks like any other (the finaliser of SplitMix64).
fn scramble(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// What is posted: 60 to 240 characters, some with hashtags.
pub(crate) fn content(n: usize) -> String {
    const WORDS: [&str; 8] = ["the", "harbour", "was", "quiet", "until", "rain", "came", "over"];
    let words = 10 + n % 31;
    let text = (0..words).map(|word| WORDS[(n + word * word) % WORDS.len()]).collect::<Vec<_>>().join(" ");
    if n.is_multiple_of(2) { format!("{text} #harbour #weather{}", n % 50) } else { text }
}

/// What is said under posts: 20 to 80 characters.
pub(crate) fn remark(n: usize) -> String {
    content(n % 31).split_at(20 + n % 30).0.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn likes_and_follows_do_not_repeat_and_nobody_follows_themselves() {
        let (users, posts) = (10, 7);
        let script = Script::new(Load::Mix, users, posts);
        let mut seen = HashSet::new();
        for _ in 0..140 {
            match script.next() {
                Act::Follow { follower, followee } => {
                    assert!(follower != followee && seen.insert((follower, followee, "follow")));
                }
                Act::Like { user, post } => assert!(seen.insert((user, post, "like"))),
                _ => {}
            }
        }
    }

    #[test]
    fn the_mix_has_its_shares() {
        let script = Script::new(Load::Mix, 100, 100);
        let mut shares = [0; 4];
        for _ in 0..1_000 {
            match script.next() {
                Act::Publish { .. } => shares[0] += 1,
                Act::Comment { .. } => shares[1] += 1,
                Act::Like { .. } => shares[2] += 1,
                Act::Follow { .. } => shares[3] += 1,
                Act::Read { .. } => panic!("the mix has no reads"),
            }
        }
        assert_eq!(shares, [100, 200, 500, 200]);
    }
}
