//! Who exists and who follows whom: read from a file of friendships, or generated.
//!
//! People are numbered without gaps from 0. No follow is repeated and nobody follows themselves, whatever the source
//! holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;

/// How many people a newcomer of a generated graph follows at least, and at most.
const FOLLOWS_OF_NEWCOMER: std::ops::RangeInclusive<usize> = 4..=28;
/// How likely a follow in a generated graph is returned.
const RECIPROCAL: f64 = 0.35;
/// How likely a newcomer follows somebody by their popularity, and not at random.
const PREFERENTIAL: f64 = 0.8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) people: usize,
    /// (follower, followee), sorted.
    pub(crate) follows: Vec<(usize, usize)>,
}

impl Graph {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read the graph {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("the graph {} is malformed", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut friendships = BTreeSet::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', '%']) {
                continue;
            }
            friendships.insert(friendship(line).with_context(|| {
                format!("line {number}: expected two whole numbers `a b`, found `{}`", excerpt(line))
            })?);
        }
        let ids: BTreeSet<u64> = friendships.iter().flat_map(|&(a, b)| [a, b]).collect();
        ensure!(!ids.is_empty(), "it holds no friendship");
        let index: BTreeMap<u64, usize> = ids.into_iter().zip(0..).collect();
        let follows: BTreeSet<(usize, usize)> = friendships
            .into_iter()
            .filter(|(a, b)| a != b)
            .flat_map(|(a, b)| [(index[&a], index[&b]), (index[&b], index[&a])])
            .collect();
        Ok(Self { people: index.len(), follows: follows.into_iter().collect() })
    }

    /// Preferential attachment (Barabási and Albert, 1999): a newcomer mostly follows those who are followed already.
    pub(crate) fn generate(people: usize, rng: &mut StdRng) -> Result<Self> {
        ensure!(people >= 2, "a graph needs two people at least, not {people}");
        let mut follows = BTreeSet::new();
        // Everybody stands here once, and once more for each follower: a draw from it is a draw by popularity.
        let mut lots = vec![0];
        for newcomer in 1..people {
            let wanted = rng.random_range(FOLLOWS_OF_NEWCOMER).min(newcomer);
            let mut chosen = BTreeSet::new();
            while chosen.len() < wanted {
                let by_popularity = chosen.len() * 2 < wanted || rng.random_bool(PREFERENTIAL);
                let drawn = if by_popularity { lots[rng.random_range(0..lots.len())] } else { newcomer };
                // A second draw of the same person, like no draw, becomes anybody, so that this ends.
                let followee =
                    if drawn == newcomer || chosen.contains(&drawn) { rng.random_range(0..newcomer) } else { drawn };
                chosen.insert(followee);
            }
            lots.push(newcomer);
            for followee in chosen {
                follows.insert((newcomer, followee));
                lots.push(followee);
                if rng.random_bool(RECIPROCAL) {
                    follows.insert((followee, newcomer));
                    lots.push(newcomer);
                }
            }
        }
        Ok(Self { people, follows: follows.into_iter().collect() })
    }

    /// The followers of each person.
    pub(crate) fn followers(&self) -> Vec<Vec<usize>> {
        let mut followers = vec![Vec::new(); self.people];
        for &(follower, followee) in &self.follows {
            followers[followee].push(follower);
        }
        followers
    }
}

fn friendship(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.split_whitespace();
    let (a, b) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    fields.next().is_none().then_some((u64::min(a, b), u64::max(a, b)))
}

fn excerpt(line: &str) -> String {
    const EXCERPT_CHARS_MAX: usize = 60;
    line.chars().take(EXCERPT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_friendship_is_two_follows() {
        let graph = Graph::parse("# people\n% more\n\n 7 3 \n").unwrap();
        assert_eq!(graph, Graph { people: 2, follows: vec![(0, 1), (1, 0)] });
    }

    #[test]
    fn repeated_friendships_and_self_loops_add_nothing() {
        let graph = Graph::parse("1 2\n2 1\n1 2\n5 5\n").unwrap();
        assert_eq!(graph.follows, [(0, 1), (1, 0)]);
        assert_eq!(graph.people, 3, "who stands only beside themselves still exists");
    }

    #[test]
    fn a_malformed_line_is_named_with_its_content() {
        for bad in ["1", "1 2 3", "1 x", "1,2", "-1 2"] {
            let error = Graph::parse(&format!("# a comment\n1 2\n{bad}\n")).unwrap_err().to_string();
            assert!(error.contains("line 3") && error.contains(bad), "{error}");
        }
    }

    #[test]
    fn an_empty_file_is_refused() {
        assert!(Graph::parse("# nothing\n").is_err());
    }

    #[test]
    fn a_generated_graph_is_simple_heavy_tailed_and_partly_reciprocal() {
        let graph = Graph::generate(1000, &mut StdRng::seed_from_u64(5)).unwrap();
        assert!(graph.follows.iter().all(|(a, b)| a != b && *a < 1000 && *b < 1000));
        assert!(graph.follows.is_sorted_by(|a, b| a < b), "sorted, and none twice");
        let mut counts: Vec<usize> = graph.followers().iter().map(Vec::len).collect();
        counts.sort_unstable();
        assert!(counts[999] > 8 * counts[500], "most followed {}, median {}", counts[999], counts[500]);
        let all: BTreeSet<_> = graph.follows.iter().collect();
        let returned = graph.follows.iter().filter(|(a, b)| all.contains(&(*b, *a))).count();
        let share = returned * 100 / graph.follows.len();
        assert!((20..80).contains(&share), "{share} % of the follows are returned");
    }

    #[test]
    fn a_seed_gives_the_same_graph_again() {
        let graph = |seed| Graph::generate(60, &mut StdRng::seed_from_u64(seed)).unwrap();
        assert_eq!(graph(1), graph(1));
        assert_ne!(graph(1), graph(2));
    }

    #[test]
    fn the_smallest_graph_is_two_people() {
        assert_eq!(Graph::generate(2, &mut StdRng::seed_from_u64(1)).unwrap().people, 2);
        assert!(Graph::generate(1, &mut StdRng::seed_from_u64(1)).is_err());
    }
}
