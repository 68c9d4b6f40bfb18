//! What happens in a run, decided beforehand from the graph, the amounts and the seed: every text, every act, and which
//! earlier acts each one waits for.
//!
//! Nothing here knows an id or a time, so the same plan can be carried out on any server.

mod closing;
mod leaving;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};

use crate::act::{Access, Act, Resource};
use crate::draft::{self, Draft};
use crate::graph::Graph;
use crate::options::Volume;

/// How many of 100 posts are published before others react to them; the rest appear among the reactions.
const PUBLISHED_FIRST_PERCENT: usize = 60;
/// How many of 100 bios are written while people follow each other.
const BIOS_FIRST_PERCENT: usize = 70;
/// How likely somebody who reacts to a post follows its author.
const BY_FOLLOWER: f64 = 0.7;
/// How often a choice that turns out to be taken is made again before the act is left out.
const CHOICES_MAX: usize = 20;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) people: usize,
    pub(crate) bios: Vec<String>,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) posts: Vec<PlannedPost>,
    pub(crate) comments: Vec<PlannedComment>,
    pub(crate) steps: Vec<Step>,
    pub(crate) phases: Vec<Phase>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlannedPost {
    pub(crate) author: usize,
    pub(crate) draft: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlannedComment {
    pub(crate) author: usize,
    pub(crate) post: usize,
    pub(crate) text: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) act: Act,
    /// Earlier steps of the same phase that must be finished first.
    pub(crate) after: Vec<usize>,
}

/// Steps that may run at once but for what they wait for. A phase begins when the one before has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) steps: Range<usize>,
}

impl Plan {
    /// How many acts there are of each kind, in the order in which the kinds come first.
    pub(crate) fn counts(&self) -> Vec<(&'static str, usize)> {
        let mut counts: Vec<(&'static str, usize)> = Vec::new();
        for kind in self.steps.iter().map(|step| step.act.kind()) {
            match counts.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((kind, 1)),
            }
        }
        counts
    }

    pub(crate) fn new(graph: &Graph, volume: &Volume, seed: u64) -> Self {
        let mut planner = Planner::new(graph, volume, seed);
        planner.phase("register", |planner| planner.register());
        planner.phase("follow", |planner| planner.follow(volume));
        planner.phase("publish", |planner| planner.publish(volume));
        planner.phase("live", |planner| planner.live(volume));
        let leaving = planner.set_aside(volume.leaves);
        planner.phase("closing", Planner::close);
        planner.phase("leave", |planner| planner.leave(&leaving));
        planner.plan
    }
}

/// What happens in the phase in which people live, in random order.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Publish,
    Comment,
    Like,
    LikeAgainAfterUnlike,
    Edit,
    DeletePost,
    DeleteComment,
    Unlike,
    Unfollow,
    FollowAgainAfterUnfollow,
    Bio,
    Rename,
    Logout,
    RepeatedFollow,
    RepeatedLike,
    FollowMyself,
    EditForeign,
}

struct Planner<'a> {
    graph: &'a Graph,
    followers: Vec<Vec<usize>>,
    rng: StdRng,
    plan: Plan,
    phase_start: usize,
    /// For each resource the last step of this phase that had it for itself, and those that have shared it since.
    users: HashMap<Resource, (Option<usize>, Vec<usize>)>,
    renaming: Vec<usize>,
    /// Those whose name never changes, so that a mention of them stays true.
    constant: Vec<usize>,
    // What exists at this point of the plan.
    posts: Vec<usize>,
    published: Vec<bool>,
    comments: Vec<usize>,
    liked: HashSet<(usize, usize)>,
    likes: Vec<(usize, usize)>,
    unliked: Vec<(usize, usize)>,
    follows: Vec<(usize, usize)>,
    unfollowed: Vec<(usize, usize)>,
}

impl<'a> Planner<'a> {
    fn new(graph: &'a Graph, volume: &Volume, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut everybody: Vec<usize> = (0..graph.people).collect();
        everybody.shuffle(&mut rng);
        let constant = everybody.split_off(volume.renames.min(graph.people));
        let plan = Plan {
            people: graph.people,
            bios: Vec::new(),
            drafts: Vec::new(),
            posts: Vec::new(),
            comments: Vec::new(),
            steps: Vec::new(),
            phases: Vec::new(),
        };
        Self {
            graph,
            followers: graph.followers(),
            rng,
            plan,
            phase_start: 0,
            users: HashMap::new(),
            renaming: everybody,
            constant,
            posts: Vec::new(),
            published: Vec::new(),
            comments: Vec::new(),
            liked: HashSet::new(),
            likes: Vec::new(),
            unliked: Vec::new(),
            follows: Vec::new(),
            unfollowed: Vec::new(),
        }
    }

    fn phase(&mut self, name: &'static str, fill: impl FnOnce(&mut Self)) {
        self.phase_start = self.plan.steps.len();
        self.users.clear();
        fill(self);
        let steps = self.phase_start..self.plan.steps.len();
        self.plan.phases.push(Phase { name, steps });
    }

    fn push(&mut self, act: Act) {
        let number = self.plan.steps.len();
        let mut after = BTreeSet::new();
        for (resource, access) in act.needs(&self.plan) {
            let (alone, sharing) = self.users.entry(resource).or_default();
            after.extend(*alone);
            match access {
                Access::Shared => sharing.push(number),
                Access::Exclusive => {
                    after.extend(sharing.drain(..));
                    *alone = Some(number);
                }
            }
        }
        self.plan.steps.push(Step { act, after: after.into_iter().collect() });
    }

    fn register(&mut self) {
        for person in 0..self.plan.people {
            self.push(Act::Register { person });
        }
    }

    fn follow(&mut self, volume: &Volume) {
        let mut acts: Vec<Option<(usize, usize)>> = self.graph.follows.iter().copied().map(Some).collect();
        acts.extend(vec![None; volume.bios * BIOS_FIRST_PERCENT / 100]);
        acts.shuffle(&mut self.rng);
        for act in acts {
            match act {
                Some((follower, followee)) => {
                    self.follows.push((follower, followee));
                    self.push(Act::Follow { follower, followee });
                }
                None => self.bio(),
            }
        }
    }

    fn publish(&mut self, volume: &Volume) {
        for _ in 0..volume.posts * PUBLISHED_FIRST_PERCENT / 100 {
            self.publish_one();
        }
    }

    fn live(&mut self, volume: &Volume) {
        let amounts = [
            (Kind::Publish, volume.posts - self.plan.posts.len()),
            (Kind::Comment, volume.comments),
            (Kind::Like, volume.likes),
            (Kind::LikeAgainAfterUnlike, volume.likes_again),
            (Kind::Edit, volume.edits),
            (Kind::DeletePost, volume.post_deletes),
            (Kind::DeleteComment, volume.comment_deletes),
            (Kind::Unlike, volume.unlikes),
            (Kind::Unfollow, volume.unfollows),
            (Kind::FollowAgainAfterUnfollow, volume.follows_again),
            (Kind::Bio, volume.bios - volume.bios * BIOS_FIRST_PERCENT / 100),
            (Kind::Rename, volume.renames),
            (Kind::Logout, volume.logouts),
            (Kind::RepeatedFollow, volume.refusals),
            (Kind::RepeatedLike, volume.refusals),
            (Kind::FollowMyself, volume.refusals),
            (Kind::EditForeign, volume.refusals),
        ];
        let mut kinds: Vec<Kind> =
            amounts.iter().flat_map(|(kind, amount)| std::iter::repeat_n(*kind, *amount)).collect();
        kinds.shuffle(&mut self.rng);
        for kind in kinds {
            self.live_one(kind);
        }
    }

    /// Adds an act of this kind, or none where nothing is left that it could be about.
    fn live_one(&mut self, kind: Kind) {
        match kind {
            Kind::Publish => self.publish_one(),
            Kind::Comment => self.comment(),
            Kind::Like => self.like(),
            Kind::LikeAgainAfterUnlike => self.like_again_after_unlike(),
            Kind::Edit => self.edit(),
            Kind::DeletePost => self.delete_post(),
            Kind::DeleteComment => self.delete_comment(),
            Kind::Unlike => self.unlike(),
            Kind::Unfollow => self.unfollow(),
            Kind::FollowAgainAfterUnfollow => {
                if let Some((follower, followee)) = take(&mut self.unfollowed, &mut self.rng) {
                    self.follows.push((follower, followee));
                    self.push(Act::Follow { follower, followee });
                }
            }
            Kind::Bio => self.bio(),
            Kind::Rename => {
                if let Some(person) = self.renaming.pop() {
                    self.push(Act::Rename { person });
                }
            }
            Kind::Logout => {
                let person = self.anybody();
                self.push(Act::Logout { person });
            }
            Kind::RepeatedFollow => {
                if let Some(&(follower, followee)) = self.follows.choose(&mut self.rng) {
                    self.push(Act::FollowAgain { follower, followee });
                }
            }
            Kind::RepeatedLike => {
                if let Some(&(person, post)) = self.likes.choose(&mut self.rng)
                    && self.published[post]
                {
                    self.push(Act::LikeAgain { person, post });
                }
            }
            Kind::FollowMyself => {
                let person = self.anybody();
                self.push(Act::FollowMyself { person });
            }
            Kind::EditForeign => {
                let (person, post) = (self.anybody(), self.popular_post());
                if let Some(post) = post.filter(|post| self.plan.posts[*post].author != person) {
                    self.push(Act::EditForeign { person, post });
                }
            }
        }
    }

    fn bio(&mut self) {
        let person = self.anybody();
        let text = draft::sentence(&mut self.rng);
        self.plan.bios.push(text);
        self.push(Act::Bio { person, bio: self.plan.bios.len() - 1 });
    }

    fn publish_one(&mut self) {
        // The followee of any follow is a draw by the number of followers: who is read, writes.
        let popular = self.graph.follows.choose(&mut self.rng).map(|(_, followee)| *followee);
        let author = if self.rng.random_bool(0.5) { popular } else { None };
        let author = author.unwrap_or_else(|| self.anybody());
        let draft = self.draft();
        let post = self.plan.posts.len();
        self.plan.posts.push(PlannedPost { author, draft });
        self.posts.push(post);
        self.published.push(true);
        self.push(Act::Publish { post });
    }

    fn comment(&mut self) {
        let Some(post) = self.popular_post() else { return };
        let author = self.reader_of(post);
        let text = draft::sentence(&mut self.rng);
        let comment = self.plan.comments.len();
        self.plan.comments.push(PlannedComment { author, post, text });
        self.comments.push(comment);
        self.push(Act::Comment { comment });
    }

    fn like(&mut self) {
        for _ in 0..CHOICES_MAX {
            let Some(post) = self.popular_post() else { return };
            let person = self.reader_of(post);
            if self.liked.insert((person, post)) {
                self.likes.push((person, post));
                return self.push(Act::Like { person, post });
            }
        }
    }

    fn like_again_after_unlike(&mut self) {
        if let Some((person, post)) = take(&mut self.unliked, &mut self.rng)
            && self.published[post]
        {
            self.likes.push((person, post));
            self.push(Act::Like { person, post });
        }
    }

    fn unlike(&mut self) {
        let Some((person, post)) = take(&mut self.likes, &mut self.rng) else { return };
        if !self.published[post] {
            return;
        }
        self.push(Act::Unlike { person, post });
        if self.now_and_then() {
            self.push(Act::UnlikeAgain { person, post });
        }
        self.unliked.push((person, post));
    }

    fn unfollow(&mut self) {
        let Some((follower, followee)) = take(&mut self.follows, &mut self.rng) else { return };
        self.push(Act::Unfollow { follower, followee });
        if self.now_and_then() {
            self.push(Act::UnfollowAgain { follower, followee });
        }
        self.unfollowed.push((follower, followee));
    }

    fn edit(&mut self) {
        let Some(post) = self.posts.choose(&mut self.rng).copied() else { return };
        let draft = self.draft();
        self.push(Act::Edit { post, draft });
    }

    fn delete_post(&mut self) {
        let Some(post) = take(&mut self.posts, &mut self.rng) else { return };
        self.published[post] = false;
        self.push(Act::DeletePost { post });
        if self.now_and_then() {
            self.push(Act::DeletePostAgain { post });
        }
        if self.now_and_then() {
            let person = self.anybody();
            self.push(Act::LikeDeleted { person, post });
        }
    }

    fn delete_comment(&mut self) {
        let Some(comment) = take(&mut self.comments, &mut self.rng) else { return };
        if !self.published[self.plan.comments[comment].post] {
            return;
        }
        self.push(Act::DeleteComment { comment });
        if self.now_and_then() {
            self.push(Act::DeleteCommentAgain { comment });
        }
    }

    fn draft(&mut self) -> usize {
        self.plan.drafts.push(Draft::new(&self.constant, &mut self.rng));
        self.plan.drafts.len() - 1
    }

    fn anybody(&mut self) -> usize {
        self.rng.random_range(0..self.plan.people)
    }

    /// The square of a uniform draw: a few posts get much attention, most get little.
    fn popular_post(&mut self) -> Option<usize> {
        let draw: f64 = self.rng.random::<f64>().powi(2);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = (draw * self.posts.len() as f64) as usize;
        self.posts.get(index).copied()
    }

    fn reader_of(&mut self, post: usize) -> usize {
        let followers = &self.followers[self.plan.posts[post].author];
        let follower = followers.choose(&mut self.rng).copied();
        if self.rng.random_bool(BY_FOLLOWER) { follower } else { None }.unwrap_or_else(|| self.anybody())
    }

    fn now_and_then(&mut self) -> bool {
        self.rng.random_ratio(1, 8)
    }
}

fn take<T>(from: &mut Vec<T>, rng: &mut StdRng) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(rng.random_range(0..from.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Options, Source, Target};

    fn plan(people: usize, seed: u64) -> Plan {
        let graph = Graph::generate(people, &mut StdRng::seed_from_u64(seed)).unwrap();
        let options = Options::new(Target::Running(String::new()), Source::People(people));
        Plan::new(&graph, &options.volume(&graph), seed)
    }

    fn count(plan: &Plan, wanted: impl Fn(Act) -> bool) -> usize {
        plan.steps.iter().filter(|step| wanted(step.act)).count()
    }

    #[test]
    fn a_seed_gives_the_same_plan_again() {
        assert_eq!(plan(40, 7), plan(40, 7));
        assert_ne!(plan(40, 7), plan(40, 8));
    }

    #[test]
    fn the_amounts_are_as_asked() {
        let plan = plan(150, 1);
        assert_eq!(count(&plan, |act| matches!(act, Act::Publish { .. })), 900);
        assert_eq!(count(&plan, |act| matches!(act, Act::Comment { .. })), 1650);
        assert!(count(&plan, |act| matches!(act, Act::Like { .. })) >= 5250);
        assert!(count(&plan, |act| matches!(act, Act::DeletePost { .. })) >= 27);
        assert!(count(&plan, |act| matches!(act, Act::Unlike { .. })) >= 200);
    }

    #[test]
    fn steps_wait_only_for_earlier_steps_of_their_phase() {
        let plan = plan(60, 3);
        for phase in &plan.phases {
            for number in phase.steps.clone() {
                assert!(plan.steps[number].after.iter().all(|after| (phase.steps.start..number).contains(after)));
            }
        }
        assert_eq!(plan.phases.last().map(|phase| phase.steps.end), Some(plan.steps.len()));
    }

    /// Whether the step waits for the other, if through others.
    fn waits_for(plan: &Plan, later: usize, earlier: usize) -> bool {
        later == earlier
            || plan.steps[later].after.iter().any(|after| *after >= earlier && waits_for(plan, *after, earlier))
    }

    #[test]
    fn a_post_is_deleted_after_everything_that_was_said_about_it_and_nothing_follows() {
        let plan = plan(30, 4);
        let live = &plan.phases[3];
        let mut checked = 0;
        for deletion in live.steps.clone() {
            let Act::DeletePost { post } = plan.steps[deletion].act else { continue };
            for other in live.steps.clone() {
                let about = match plan.steps[other].act {
                    Act::Like { post, .. } | Act::Unlike { post, .. } | Act::Edit { post, .. } => post,
                    Act::Comment { comment } | Act::DeleteComment { comment } => plan.comments[comment].post,
                    _ => continue,
                };
                if about == post {
                    assert!(other < deletion && waits_for(&plan, deletion, other));
                    checked += 1;
                }
            }
        }
        assert!(checked > 0);
    }

    #[test]
    fn nobody_likes_a_post_twice_without_an_unlike_between() {
        let plan = plan(50, 5);
        let mut liked = HashSet::new();
        for step in &plan.steps {
            match step.act {
                Act::Like { person, post } => assert!(liked.insert((person, post))),
                Act::Unlike { person, post } | Act::LikeAgain { person, post } if !liked.contains(&(person, post)) => {
                    panic!("{:?} without a like", step.act)
                }
                Act::Unlike { person, post } => assert!(liked.remove(&(person, post))),
                _ => {}
            }
        }
    }

    #[test]
    fn who_changes_their_name_is_never_mentioned() {
        let plan = plan(200, 6);
        let renamed: HashSet<usize> = plan
            .steps
            .iter()
            .filter_map(|step| if let Act::Rename { person } = step.act { Some(person) } else { None })
            .collect();
        assert!(!renamed.is_empty());
        assert!(plan.drafts.iter().flat_map(Draft::mentions).all(|person| !renamed.contains(&person)));
    }
}
