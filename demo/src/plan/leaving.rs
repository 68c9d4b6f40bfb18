//! Who deletes their account, and that they do: the end of the plan, when all else has happened.
//!
//! They are chosen before the closing phase, which leaves them out, so that what it has brought about is still there when
//! they and all of theirs are gone. What happened to them before it stays as it was until then.

use std::cmp::Reverse;
use std::collections::HashMap;

use rand::seq::SliceRandom as _;

use super::Planner;
use crate::act::Act;

/// So many traces of a kind are enough.
const TRACES_ENOUGH: usize = 3;

impl Planner<'_> {
    /// Chooses who leaves. In what the planner knows of from here on they and all of theirs are not there any more, nor is
    /// what lies under deleted posts.
    pub(super) fn set_aside(&mut self, leaves: usize) -> Vec<usize> {
        self.likes.retain(|(_, post)| self.published[*post]);
        self.comments.retain(|comment| self.published[self.plan.comments[*comment].post]);
        let leaving = self.choose(leaves);
        let stays = |person: usize| !leaving.contains(&person);
        let plan = &self.plan;
        self.posts.retain(|post| stays(plan.posts[*post].author));
        self.follows.retain(|(follower, followee)| stays(*follower) && stays(*followee));
        self.likes.retain(|(person, post)| stays(*person) && stays(plan.posts[*post].author));
        self.comments.retain(|comment| {
            let comment = &plan.comments[*comment];
            stays(comment.author) && stays(plan.posts[comment.post].author)
        });
        leaving
    }

    pub(super) fn leave(&mut self, leaving: &[usize]) {
        for person in leaving.iter().copied() {
            self.push(Act::Leave { person });
        }
    }

    /// Those who have left enough traces, by lot, and first of all one who follows another one of them.
    fn choose(&mut self, leaves: usize) -> Vec<usize> {
        let traces = self.traces();
        let mut people: Vec<usize> = (0..self.plan.people).collect();
        people.shuffle(&mut self.rng);
        people.sort_by_key(|person| Reverse(traces[*person]));
        let mut rank = vec![0; people.len()];
        people.iter().enumerate().for_each(|(n, person)| rank[*person] = n);
        let pair = self.follows.iter().min_by_key(|(follower, followee)| rank[*follower].max(rank[*followee]));
        let first: Vec<usize> = pair.into_iter().flat_map(|(follower, followee)| [*follower, *followee]).collect();
        people.retain(|person| !first.contains(person));
        first.into_iter().chain(people).take(leaves).collect()
    }

    /// How much each person has left: posts and followers, and with others likes, comments and mentions. Of each kind no
    /// more counts than makes sure that some of it is still there at the end.
    fn traces(&self) -> Vec<usize> {
        let author = |post: usize| self.plan.posts[post].author;
        let others = |(person, post): (usize, usize)| (author(post) != person).then_some(person);
        let comments = self.comments.iter().map(|comment| &self.plan.comments[*comment]);
        let kinds: [Vec<usize>; 5] = [
            self.posts.iter().map(|post| author(*post)).collect(),
            self.follows.iter().map(|(_, followee)| *followee).collect(),
            self.likes.iter().copied().filter_map(others).collect(),
            comments.map(|comment| (comment.author, comment.post)).filter_map(others).collect(),
            self.mentions().into_iter().filter_map(others).collect(),
        ];
        let mut traces = vec![0; self.plan.people];
        for kind in kinds {
            let mut counts = vec![0; self.plan.people];
            kind.into_iter().for_each(|person| counts[person] += 1);
            traces.iter_mut().zip(counts).for_each(|(traces, count)| *traces += TRACES_ENOUGH.min(count));
        }
        traces
    }

    /// Whom the posts mention as they read now.
    fn mentions(&self) -> Vec<(usize, usize)> {
        let mut edited = HashMap::new();
        for step in &self.plan.steps {
            if let Act::Edit { post, draft } = step.act {
                edited.insert(post, draft);
            }
        }
        let draft = |post: usize| edited.get(&post).copied().unwrap_or(self.plan.posts[post].draft);
        let mentions = |post: usize| self.plan.drafts[draft(post)].mentions();
        self.posts.iter().flat_map(|post| mentions(*post).into_iter().map(|person| (person, *post))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::graph::Graph;
    use crate::options::{Options, Source, Target};
    use crate::plan::Plan;

    fn plan(people: usize, leaves: Option<usize>, seed: u64) -> Plan {
        let graph = Graph::generate(people, &mut StdRng::seed_from_u64(seed)).unwrap();
        let options = Options { leaves, ..Options::new(Target::Running(String::new()), Source::People(people)) };
        Plan::new(&graph, &options.volume(&graph), seed)
    }

    fn leaving(plan: &Plan) -> Vec<usize> {
        let leaves = plan.steps.iter().map(|step| step.act);
        leaves.filter_map(|act| if let Act::Leave { person } = act { Some(person) } else { None }).collect()
    }

    #[test]
    fn two_in_a_hundred_leave_but_three_at_least_and_half_of_the_people_at_most() {
        for (people, leaves, left) in [(300, None, 6), (50, None, 3), (4, None, 2), (50, Some(0), 0), (50, Some(7), 7)]
        {
            assert_eq!(leaving(&plan(people, leaves, 1)).len(), left, "{people} people");
        }
    }

    #[test]
    fn who_leaves_does_so_last_and_has_posts_followers_likes_and_comments() {
        for seed in 0..10 {
            let plan = plan(50, None, seed);
            let leaving = leaving(&plan);
            let (mut posts, mut follows) = (HashSet::new(), HashSet::new());
            let (mut likes, mut comments) = (HashSet::new(), HashSet::new());
            for step in &plan.steps {
                match step.act {
                    Act::Publish { post } => {
                        posts.insert(post);
                    }
                    Act::DeletePost { post } => {
                        posts.remove(&post);
                        likes.retain(|(_, liked)| *liked != post);
                        comments.retain(|comment: &usize| plan.comments[*comment].post != post);
                    }
                    Act::Follow { follower, followee } => {
                        follows.insert((follower, followee));
                    }
                    Act::Unfollow { follower, followee } => {
                        follows.remove(&(follower, followee));
                    }
                    Act::Like { person, post } => {
                        likes.insert((person, post));
                    }
                    Act::Unlike { person, post } => {
                        likes.remove(&(person, post));
                    }
                    Act::Comment { comment } => {
                        comments.insert(comment);
                    }
                    Act::DeleteComment { comment } => {
                        comments.remove(&comment);
                    }
                    _ => {}
                }
            }
            let author = |post: usize| plan.posts[post].author;
            for person in leaving.iter().copied() {
                let others = |comment: &&usize| author(plan.comments[**comment].post) != person;
                assert!(posts.iter().any(|post| author(*post) == person), "seed {seed}");
                assert!(follows.iter().any(|(by, of)| *of == person && !leaving.contains(by)), "seed {seed}");
                assert!(likes.iter().any(|(by, post)| *by == person && author(*post) != person), "seed {seed}");
                assert!(comments.iter().filter(others).any(|comment| plan.comments[*comment].author == person));
            }
            assert!(follows.iter().any(|(by, of)| leaving.contains(by) && leaving.contains(of)), "seed {seed}");
            assert!(plan.phases.last().is_some_and(|phase| phase.steps.len() == leaving.len()));
        }
    }
}
