//! Who has left, and what has left with them.
//!
//! Their posts are gone with all that lies under them; their comments, likes and follows are gone from others; and where a
//! text mentions them it names nobody any more. What they were called is kept, to look for them.

use serde_json::{Value, json};

use super::{Model, Person};
use crate::act::Act;
use crate::client::Call;
use crate::names::PASSWORD;

impl Model {
    pub(super) fn leave(&mut self, person: usize) {
        let Person { followers, following, posts, left, .. } = &mut self.people[person];
        *left = true;
        posts.clear();
        let (followers, following) = (std::mem::take(followers), std::mem::take(following));
        for follower in followers.into_keys() {
            self.people[follower].following.remove(&person);
        }
        for followee in following.into_keys() {
            self.people[followee].followers.remove(&person);
        }
        let plan = &self.plan;
        for post in &mut self.posts {
            post.likes.remove(&person);
            post.comments.retain(|comment| plan.comments[*comment].author != person);
        }
    }

    /// Takes in where the deletion of their account is told of.
    pub(crate) fn keep_ticket(&mut self, person: usize, ticket: &str) {
        self.people[person].ticket = Some(ticket.to_owned());
    }

    pub(crate) fn has_left(&self, person: usize) -> bool {
        self.people[person].left
    }

    pub(crate) fn who_left(&self) -> impl Iterator<Item = usize> {
        (0..self.people.len()).filter(|person| self.has_left(*person))
    }

    /// Where the deletion of their account is told of; `None` if every answer that named it was lost.
    pub(crate) fn ticket(&self, person: usize) -> Option<&str> {
        self.people[person].ticket.as_deref()
    }

    /// The write since which there is no such post any more: its own deletion, or its author's.
    pub(crate) fn gone_by(&self, post: usize) -> Option<Act> {
        let acts = [Act::DeletePost { post }, Act::Leave { person: self.plan.posts[post].author }];
        acts.into_iter().find(|act| self.is_acknowledged(*act))
    }

    /// The request of whoever takes the address and the name that somebody had who has left.
    pub(crate) fn register_again(&self, person: usize) -> Call {
        let (email, username) = (self.names.email(person), self.username(person));
        Call::post("/users/auth/register", Some(json!({"email": email, "password": PASSWORD, "username": username})))
    }

    /// The own profile of whoever has done that: nothing of who had the address and the name before.
    pub(crate) fn newcomer(&self, person: usize) -> Value {
        json!({
            "email": self.names.email(person), "username": self.username(person), "bio": null,
            "follower_count": 0, "following_count": 0, "posts_count": 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{A, B, apply, model};
    use super::*;

    #[test]
    fn who_has_left_is_nowhere_any_more() {
        let mut model = model();
        for (follower, followee) in [(0, 1), (1, 0), (2, 0), (2, 1)] {
            apply(&mut model, Act::Follow { follower, followee }, json!({"created_at": A}));
        }
        for (person, post) in [(0, 1), (2, 1), (2, 0)] {
            apply(&mut model, Act::Like { person, post }, json!({"created_at": B}));
        }
        for comment in [0, 1] {
            apply(&mut model, Act::Comment { comment }, json!({"id": format!("c{comment}"), "created_at": B}));
        }
        assert_eq!(model.post(0, None)["mentions"][0]["id"], "u1");

        apply(&mut model, Act::Leave { person: 2 }, Value::Null);
        let post = model.post(0, None);
        assert_eq!((&post["likes_count"], &post["comments_count"]), (&json!(0), &json!(0)));
        assert_eq!((model.likes_of(1), model.comments_of(0)), (vec![0], vec![]));
        assert_eq!((model.followers(0), model.followers(1)), (vec![1], vec![0]));

        apply(&mut model, Act::Leave { person: 1 }, Value::Null);
        assert_eq!(model.post(0, None)["mentions"], json!([]));
        assert_eq!((model.feed(0), model.all_posts()), (vec![2, 0], vec![2, 0]));
        assert_eq!((model.following(0), model.relation(0, 1)["following"].as_bool()), (vec![], Some(false)));
        assert_eq!(model.everybody().collect::<Vec<_>>(), [0]);
        assert_eq!(model.who_left().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_post_is_gone_by_its_own_deletion_first() {
        let mut model = model();
        apply(&mut model, Act::DeletePost { post: 2 }, Value::Null);
        apply(&mut model, Act::Leave { person: 0 }, Value::Null);
        assert_eq!(model.gone_by(2), Some(Act::DeletePost { post: 2 }));
        assert_eq!(model.gone_by(0), Some(Act::Leave { person: 0 }));
        assert_eq!(model.gone_by(1), None);
        assert_eq!(model.describe(Act::Leave { person: 0 }), "DELETE /users/me by ada0_abcdef, answered 204");
    }
}
