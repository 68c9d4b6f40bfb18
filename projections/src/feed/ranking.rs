//! How a feed is ordered by relevance: a pure function of what is known of each post at one moment.
//!
//! A post's score is the product of five [`Factors`]. The order is greedy: at each place stands, of what is left, the post
//! with the highest score, where `diversity` counts the author's posts that stand above it; of equal scores the newest by
//! (created_at, id). So scores never rise from one place to the next.

use events::{PostId, Timestamp, UserId};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

/// The newest posts of a feed that are ranked; older ones are in the feed by time alone.
pub const CANDIDATES_MAX: usize = 800;
/// How far back it counts what a reader has had to do with an author.
pub const AFFINITY_WINDOW: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Likes and comments of a reader that count with one author; more change nothing.
pub const ACTS_MAX: usize = 20;
/// In how long a post loses half of its score, in seconds.
const HALF_LIFE_S: f64 = 12.0 * 60.0 * 60.0;
/// What is left of the score of a post that the reader was shown before.
const SEEN: f64 = 0.4;

/// What is known of a post.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Candidate {
    /// Which.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
    /// When it was published.
    pub created_at: Timestamp,
    /// How many like it.
    pub likes: usize,
    /// How many comments lie under it.
    pub comments: usize,
    /// How many of the author's posts the reader has liked within [`AFFINITY_WINDOW`].
    pub own_likes: usize,
    /// How many comments the reader has left under the author's posts within [`AFFINITY_WINDOW`].
    pub own_comments: usize,
    /// Whether the reader was shown it before.
    pub seen: bool,
}

/// What makes up a score.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Factors {
    /// `1 + min(2, (own likes + 2 own comments) / 10)`
    pub affinity: f64,
    /// `1 + ln(1 + likes + 3 comments)`
    pub popularity: f64,
    /// `2^(-age / 12 h)`; whatever is dated later than now has no age.
    pub recency: f64,
    /// `0.75 * 0.5^k + 0.25`, where the author has k posts above this one.
    pub diversity: f64,
    /// 0.4 for what was shown before, else 1.
    pub seen: f64,
}

/// A post at its place.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ranked {
    /// Which.
    pub post: PostId,
    /// Why it stands there.
    pub factors: Factors,
}

impl Factors {
    /// Of the author's first post.
    #[expect(clippy::cast_precision_loss, reason = "no count comes near 2^52")]
    fn of(candidate: &Candidate, now: Timestamp) -> Self {
        let Candidate { likes, comments, own_likes, own_comments, seen, .. } = *candidate;
        Self {
            affinity: 1.0 + ((own_likes + 2 * own_comments) as f64 / 10.0).min(2.0),
            popularity: 1.0 + ((likes + 3 * comments) as f64).ln_1p(),
            recency: (-now.since(candidate.created_at).as_secs_f64() / HALF_LIFE_S).exp2(),
            diversity: diversity(0),
            seen: if seen { SEEN } else { 1.0 },
        }
    }

    /// Their product.
    pub fn score(&self) -> f64 {
        self.affinity * self.popularity * self.recency * self.seen * self.diversity
    }
}

/// Of a post with `above` posts of its author above it.
fn diversity(above: i32) -> f64 {
    0.75 * 0.5_f64.powi(above) + 0.25
}

/// The candidates by relevance to their reader at `now`.
pub fn rank(candidates: impl IntoIterator<Item = Candidate>, now: Timestamp) -> Vec<Ranked> {
    let mut by_author: HashMap<UserId, Vec<Standing>> = HashMap::new();
    for candidate in candidates {
        let factors = Factors::of(&candidate, now);
        by_author.entry(candidate.author).or_default().push(Standing { score: factors.score(), candidate, factors });
    }
    // Of one author all have the same diversity at any moment, so their order among each other never changes.
    by_author.values_mut().for_each(|posts| posts.sort_unstable());
    let mut heads = by_author.values_mut().filter_map(Vec::pop).collect::<BinaryHeap<_>>();
    let mut above: HashMap<UserId, i32> = HashMap::new();
    let mut ranked = Vec::new();
    while let Some(Standing { candidate: Candidate { post, author, .. }, factors, .. }) = heads.pop() {
        ranked.push(Ranked { post, factors });
        if let Some(next) = by_author.get_mut(&author).and_then(Vec::pop) {
            let above = above.entry(author).or_default();
            *above += 1;
            let factors = Factors { diversity: diversity(*above), ..next.factors };
            heads.push(Standing { score: factors.score(), factors, ..next });
        }
    }
    ranked
}

/// A candidate as it would stand if it came next; the greatest comes first.
struct Standing {
    score: f64,
    candidate: Candidate,
    factors: Factors,
}

impl Ord for Standing {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |it: &Self| (it.candidate.created_at, it.candidate.post);
        self.score.total_cmp(&other.score).then_with(|| place(self).cmp(&place(other)))
    }
}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Standing {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{at, user};
    use uuid::Uuid;

    const HOUR: i64 = 60 * 60;
    const NOW: i64 = 1_000 * HOUR;

    fn candidate(n: u128, author: u128, age: i64) -> Candidate {
        Candidate {
            post: PostId(Uuid::from_u128(n)),
            author: user(author),
            created_at: at(NOW - age),
            likes: 0,
            comments: 0,
            own_likes: 0,
            own_comments: 0,
            seen: false,
        }
    }

    fn order(candidates: &[Candidate]) -> Vec<u128> {
        rank(candidates.iter().copied(), at(NOW)).iter().map(|ranked| ranked.post.0.as_u128()).collect()
    }

    fn score(candidate: Candidate) -> f64 {
        rank([candidate], at(NOW))[0].factors.score()
    }

    #[track_caller]
    fn check(score: f64, expected: f64) {
        assert!((score - expected).abs() < 1e-12, "{score} instead of {expected}");
    }

    #[test]
    fn each_factor_is_as_it_is_defined() {
        let plain = candidate(1, 1, 0);
        check(score(plain), 1.0);
        check(score(Candidate { created_at: at(NOW + 60), ..plain }), 1.0);
        check(score(candidate(1, 1, 12 * HOUR)), 0.5);
        check(score(candidate(1, 1, 36 * HOUR)), 0.125);
        check(score(Candidate { likes: 2, comments: 5, ..plain }), 1.0 + 18.0_f64.ln());
        check(score(Candidate { own_likes: 3, own_comments: 2, ..plain }), 1.7);
        check(score(Candidate { own_likes: ACTS_MAX, ..plain }), 3.0);
        check(score(Candidate { own_likes: 9, own_comments: ACTS_MAX, ..plain }), 3.0);
        check(score(Candidate { seen: true, ..plain }), 0.4);
        let scores = rank((0..4).map(|n| candidate(n, 1, 0)), at(NOW));
        for (ranked, expected) in scores.iter().zip([1.0, 0.625, 0.4375, 0.34375]) {
            check(ranked.factors.score(), expected);
        }
    }

    #[test]
    fn an_author_who_posts_much_makes_room_for_others() {
        let much = [candidate(1, 1, 0), candidate(2, 1, HOUR), candidate(3, 1, 2 * HOUR)];
        assert_eq!(order(&[&much[..], &[candidate(4, 2, 6 * HOUR)]].concat()), [1, 4, 2, 3]);
    }

    #[test]
    fn of_equal_scores_the_newest_comes_first_and_then_the_higher_id() {
        let forever = 10_000 * 24 * HOUR;
        assert_eq!(order(&[candidate(1, 1, 2 * forever), candidate(2, 2, forever)]), [2, 1], "both scores are zero");
        assert_eq!(order(&[candidate(1, 1, 5), candidate(2, 2, 5), candidate(3, 3, 5)]), [3, 2, 1]);
    }
}
