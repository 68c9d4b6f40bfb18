//! The last phase of those who stay: what a random life hardly ever comes to, and where a server errs that is right about
//! the rest.
//!
//! Some things are done once more, and some are undone after they were changed or done once more. Some sets shrink
//! until nothing is left, or one entry, or two: who follows thirty people and ends one follow still follows many. What
//! comes later takes nothing back, so all of it still shows when the network is verified: who leaves after it is left out.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use super::{Planner, take};
use crate::act::Act;

/// For so many people there is one of everything below, up to a limit.
const PEOPLE_FOR_EACH: usize = 25;
const EACH_MAX: usize = 20;
/// How many entries are left in a set.
const LEFT: [usize; 3] = [0, 1, 2];
/// Smaller sets do not shrink, so that each that does loses two entries at least.
const ENTRIES_MIN: usize = 4;

impl Planner<'_> {
    pub(super) fn close(&mut self) {
        let each = self.plan.people.div_ceil(PEOPLE_FOR_EACH).min(EACH_MAX);
        for _ in 0..each {
            self.edit_and_delete();
            self.undo_again();
        }
        self.shrink_posts(each);
        self.shrink_follows(each);
        self.shrink_reactions(each);
        for _ in 0..each {
            self.edit_twice();
            self.do_again();
        }
    }

    fn edit_and_delete(&mut self) {
        let Some(post) = self.posts.choose(&mut self.rng).copied() else { return };
        let draft = self.draft();
        self.push(Act::Edit { post, draft });
        self.end(post);
    }

    /// A delete, and with the post goes what lies under it.
    fn end(&mut self, post: usize) {
        self.push(Act::DeletePost { post });
        self.published[post] = false;
        self.posts.retain(|other| *other != post);
        self.likes.retain(|(_, liked)| *liked != post);
        self.comments.retain(|comment| self.plan.comments[*comment].post != post);
    }

    fn undo_again(&mut self) {
        if let Some((person, post)) = take(&mut self.likes, &mut self.rng) {
            self.push(Act::Unlike { person, post });
            self.push(Act::Like { person, post });
            self.push(Act::Unlike { person, post });
        }
        if let Some((follower, followee)) = take(&mut self.follows, &mut self.rng) {
            self.push(Act::Unfollow { follower, followee });
            self.push(Act::Follow { follower, followee });
            self.push(Act::Unfollow { follower, followee });
        }
    }

    fn shrink_posts(&mut self, each: usize) {
        let posts = self.posts.iter().map(|post| (self.plan.posts[*post].author, *post));
        for post in surplus(posts, each, &mut self.rng) {
            self.end(post);
        }
    }

    /// Of the followed ones of some, and of the followers of others.
    fn shrink_follows(&mut self, each: usize) {
        for side in [|follow: &(usize, usize)| follow.0, |follow: &(usize, usize)| follow.1] {
            let ended = surplus(self.follows.iter().map(|follow| (side(follow), *follow)), each, &mut self.rng);
            for (follower, followee) in &ended {
                self.push(Act::Unfollow { follower: *follower, followee: *followee });
            }
            self.follows.retain(|follow| !ended.contains(follow));
        }
    }

    fn shrink_reactions(&mut self, each: usize) {
        let unliked = surplus(self.likes.iter().map(|like| (like.1, *like)), each, &mut self.rng);
        for (person, post) in &unliked {
            self.push(Act::Unlike { person: *person, post: *post });
        }
        self.likes.retain(|like| !unliked.contains(like));
        let comments = self.comments.iter().map(|comment| (self.plan.comments[*comment].post, *comment));
        for comment in surplus(comments, each, &mut self.rng) {
            self.push(Act::DeleteComment { comment });
        }
    }

    fn edit_twice(&mut self) {
        let Some(post) = self.posts.choose(&mut self.rng).copied() else { return };
        for _ in 0..2 {
            let draft = self.draft();
            self.push(Act::Edit { post, draft });
        }
    }

    fn do_again(&mut self) {
        if let Some((person, post)) = self.likes.choose(&mut self.rng).copied() {
            self.push(Act::Unlike { person, post });
            self.push(Act::Like { person, post });
        }
        if let Some((follower, followee)) = self.follows.choose(&mut self.rng).copied() {
            self.push(Act::Unfollow { follower, followee });
            self.push(Act::Follow { follower, followee });
        }
    }
}

/// What must go so that for each number of [`LEFT`] `each` sets keep so many entries. The entries come with what tells
/// their set. The smallest sets shrink, as they cost least; what they keep is drawn by lot.
fn surplus<K: Ord, T>(entries: impl Iterator<Item = (K, T)>, each: usize, rng: &mut StdRng) -> Vec<T> {
    let mut sets = BTreeMap::<K, Vec<T>>::new();
    for (set, entry) in entries {
        sets.entry(set).or_default().push(entry);
    }
    let mut sets: Vec<Vec<T>> = sets.into_values().filter(|set| set.len() >= ENTRIES_MIN).collect();
    sets.sort_by_key(Vec::len);
    let mut surplus = Vec::new();
    for (mut set, left) in sets.into_iter().zip(LEFT.into_iter().cycle()).take(LEFT.len() * each) {
        set.shuffle(rng);
        surplus.extend(set.drain(left..));
    }
    surplus
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use rand::SeedableRng as _;

    use super::*;
    use crate::graph::Graph;
    use crate::options::{Options, Source, Target};
    use crate::plan::Plan;

    #[test]
    fn the_smallest_sets_that_are_large_enough_keep_none_one_and_two() {
        let sizes = [9, 3, 5, 4, 7, 6, 8];
        let entries = (0..).zip(sizes).flat_map(|(set, size)| (0..size).map(move |entry| (set, (set, entry))));
        let surplus = surplus(entries, 1, &mut StdRng::seed_from_u64(1));
        let left = |set: usize| sizes[set] - surplus.iter().filter(|(of, _)| *of == set).count();
        assert_eq!((0..sizes.len()).map(left).collect::<Vec<_>>(), [9, 3, 1, 0, 7, 2, 8]);
    }

    #[test]
    fn in_every_plan_some_are_edited_twice_and_stay_and_some_follow_one_person_only() {
        for seed in 0..10 {
            let graph = Graph::generate(50, &mut StdRng::seed_from_u64(seed)).unwrap();
            let options = Options::new(Target::Running(String::new()), Source::People(50));
            let plan = Plan::new(&graph, &options.volume(&graph), seed);
            let (mut edits, mut deleted_after_edit) = (HashMap::<usize, usize>::new(), 0);
            let mut following = HashMap::<usize, HashSet<usize>>::new();
            for step in &plan.steps {
                match step.act {
                    Act::Edit { post, .. } => *edits.entry(post).or_default() += 1,
                    Act::DeletePost { post } => deleted_after_edit += usize::from(edits.remove(&post).is_some()),
                    Act::Follow { follower, followee } => {
                        assert!(following.entry(follower).or_default().insert(followee), "followed twice");
                    }
                    Act::Unfollow { follower, followee } => {
                        assert!(following.entry(follower).or_default().remove(&followee), "not followed");
                    }
                    Act::Leave { person } => {
                        following.remove(&person);
                        following.values_mut().for_each(|followees| followees.retain(|other| *other != person));
                        edits.retain(|post, _| plan.posts[*post].author != person);
                    }
                    _ => {}
                }
            }
            assert!(deleted_after_edit > 0, "seed {seed}");
            assert!(edits.values().any(|edits| *edits > 1), "seed {seed}");
            assert!(following.values().any(|followees| followees.len() == 1), "seed {seed}");
        }
    }
}
