//! The ranking of feeds against one that looks at every post for every place.

use events::{PostId, Timestamp, UserId};
use projections::feed::ranking::{Candidate, Ranked, rank};
use proptest::prelude::*;
use std::collections::BTreeSet;
use uuid::Uuid;

const HOUR_US: i64 = 3_600_000_000;
const NOW: Timestamp = Timestamp(20_000 * HOUR_US);
/// How far apart two scores may be that are the same: they are computed in different orders.
const TOLERANCE: f64 = 1e-12;

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    // Few authors, ages and counts, so that there are ties; some ages leave nothing of a score.
    let age = prop_oneof![4 => (0..8_i64).prop_map(|n| n * 6), 1 => Just(-1_i64), 1 => Just(15_000_i64)];
    let counts = (0..4_usize, 0..3_usize, 0..21_usize, 0..21_usize);
    let one = (0..5_u128, age, counts, any::<bool>());
    prop::collection::vec(one, 0..60).prop_map(|all| {
        let numbered = all.into_iter().zip(0_u128..);
        let candidate = |((author, hours, (likes, comments, own_likes, own_comments), seen), n)| Candidate {
            // Ids whose order is not that of the list.
            post: PostId(Uuid::from_u128(u128::from(u64::MAX / 7 * 3).wrapping_mul(n + 1))),
            author: UserId(Uuid::from_u128(author)),
            created_at: Timestamp(NOW.0 - hours * HOUR_US),
            likes: likes * likes * 10,
            comments,
            own_likes,
            own_comments,
            seen,
        };
        numbered.map(candidate).collect()
    })
}

/// The formula, as it is published.
fn score(it: &Candidate, above: usize) -> f64 {
    let count = |n: usize| f64::from(u32::try_from(n).unwrap());
    let age_h = count(usize::try_from((NOW.0 - it.created_at.0).max(0)).unwrap() / 1_000_000 / 3_600);
    let affinity = (count(it.own_likes) + 2.0 * count(it.own_comments)) / 10.0;
    (1.0 + affinity.min(2.0))
        * (1.0 + (1.0 + count(it.likes) + 3.0 * count(it.comments)).ln())
        * 2.0_f64.powf(-age_h / 12.0)
        * (0.75 * 0.5_f64.powf(count(above)) + 0.25)
        * if it.seen { 0.4 } else { 1.0 }
}

fn is_about(one: f64, two: f64) -> bool {
    (one - two).abs() <= TOLERANCE * one.max(two)
}

/// Place by place: no post that is left has a higher score, and none of the same score is newer.
fn check(candidates: &[Candidate], ranked: &[Ranked]) -> Result<(), TestCaseError> {
    let mut left = candidates.to_vec();
    let mut placed: Vec<Candidate> = Vec::new();
    for Ranked { post, factors } in ranked {
        let score = |it: &Candidate| score(it, placed.iter().filter(|above| above.author == it.author).count());
        let place = left.iter().position(|it| it.post == *post);
        let chosen = left.remove(place.expect("each candidate stands once"));
        let own = score(&chosen);
        prop_assert!(is_about(factors.score(), own), "{} instead of {own}", factors.score());
        for other in &left {
            let (theirs, is_newer) = (score(other), (other.created_at, other.post) > (chosen.created_at, chosen.post));
            prop_assert!(theirs < own || is_about(theirs, own), "{theirs} of {other:?} is above {own} of {chosen:?}");
            // What is equal to the last bit by the formula need not be so by another order of factors.
            let is_same = (other.likes, other.comments, other.own_likes, other.own_comments, other.seen)
                == (chosen.likes, chosen.comments, chosen.own_likes, chosen.own_comments, chosen.seen);
            let is_tied = is_same && theirs == own;
            prop_assert!(!(is_tied && is_newer), "{other:?} is newer than {chosen:?}");
        }
        placed.push(chosen);
    }
    prop_assert!(left.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_each_place_stands_what_has_the_highest_score_of_what_is_left(candidates in candidates()) {
        check(&candidates, &rank(candidates.iter().copied(), NOW))?;
    }

    #[test]
    fn scores_never_rise_and_the_order_of_the_candidates_does_not_matter(
        (candidates, shuffled) in candidates().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let ranked = rank(candidates, NOW);
        prop_assert!(ranked.is_sorted_by(|one, two| one.factors.score() >= two.factors.score()));
        prop_assert_eq!(&ranked, &rank(shuffled, NOW));
        prop_assert_eq!(ranked.iter().map(|it| it.post).collect::<BTreeSet<_>>().len(), ranked.len());
    }
}
