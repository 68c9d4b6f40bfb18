//! What the server must hold, as far as its writes have been acknowledged: the plan's acts, applied with the ids and
//! times from the answers.
//!
//! From it follow the request of each act, the JSON of each resource as a given reader sees it, and each list in its
//! order. Ids and times are kept as the strings that they came as; the order of these strings is their order.

mod departure;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::act::Act;
use crate::client::Call;
use crate::names::{Names, PASSWORD};
use crate::plan::Plan;

pub(crate) struct Model {
    pub(crate) plan: Arc<Plan>,
    pub(crate) names: Names,
    people: Vec<Person>,
    posts: Vec<Post>,
    comments: Vec<Comment>,
    acknowledged: HashMap<Act, Acknowledged>,
    writes: u64,
}

#[derive(Debug, Default)]
struct Person {
    id: String,
    username: String,
    created_at: String,
    bio: Option<usize>,
    /// Who follows this person, and since when.
    followers: BTreeMap<usize, String>,
    following: BTreeMap<usize, String>,
    posts: Vec<usize>,
    left: bool,
    /// Where the deletion of their account is told of.
    ticket: Option<String>,
}

#[derive(Debug, Default)]
struct Post {
    id: String,
    created_at: String,
    /// What it says now, and since when if not from the start.
    draft: usize,
    edited_at: Option<String>,
    edited_by: Option<Act>,
    likes: BTreeMap<usize, String>,
    comments: Vec<usize>,
}

#[derive(Debug, Default)]
struct Comment {
    id: String,
    created_at: String,
}

#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    step: usize,
    status: u16,
}

impl Model {
    pub(crate) fn new(plan: Arc<Plan>, names: Names) -> Self {
        let people = (0..plan.people).map(|_| Person::default()).collect();
        let posts = (0..plan.posts.len()).map(|_| Post::default()).collect();
        let comments = (0..plan.comments.len()).map(|_| Comment::default()).collect();
        Self { plan, names, people, posts, comments, acknowledged: HashMap::new(), writes: 0 }
    }

    /// How many writes have been acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.writes
    }

    /// The request of an act; `None` where what it is about was never acknowledged.
    pub(crate) fn call(&self, act: Act) -> Option<Call> {
        let call = match act {
            Act::Register { person } => {
                let (email, username) = (self.names.email(person), self.names.username(person));
                let body = json!({"email": email, "password": PASSWORD, "username": username});
                Call::post("/users/auth/register", Some(body))
            }
            Act::Bio { bio, .. } => Call::put("/users/me", json!({"bio": self.plan.bios[bio]})),
            Act::Rename { person } => {
                Call::put("/users/me", json!({"username": self.names.username_after_rename(person)}))
            }
            Act::Logout { .. } => Call::post("/users/auth/logout", None),
            Act::Leave { .. } => Call::delete("/users/me"),
            Act::Follow { followee, .. } | Act::FollowAgain { followee, .. } => {
                Call::post(format!("/users/{}/follow", self.person_id(followee)?), None)
            }
            Act::FollowMyself { person } => Call::post(format!("/users/{}/follow", self.person_id(person)?), None),
            Act::Unfollow { followee, .. } | Act::UnfollowAgain { followee, .. } => {
                Call::delete(format!("/users/{}/follow", self.person_id(followee)?))
            }
            Act::Publish { post } => {
                let text = self.plan.drafts[self.plan.posts[post].draft].text(&self.names);
                Call::post("/posts", Some(json!({"content": text})))
            }
            Act::Edit { post, draft } => {
                let text = self.plan.drafts[draft].text(&self.names);
                Call::put(self.post_path(post)?, json!({"content": text}))
            }
            Act::EditForeign { post, .. } => Call::put(self.post_path(post)?, json!({"content": "not mine"})),
            Act::DeletePost { post } | Act::DeletePostAgain { post } => Call::delete(self.post_path(post)?),
            Act::Comment { comment } => {
                let planned = &self.plan.comments[comment];
                Call::post(format!("{}/comments", self.post_path(planned.post)?), Some(json!({"text": planned.text})))
            }
            Act::DeleteComment { comment } | Act::DeleteCommentAgain { comment } => {
                let post = self.post_path(self.plan.comments[comment].post)?;
                Call::delete(format!("{post}/comments/{}", known(&self.comments[comment].id)?))
            }
            Act::Like { post, .. } | Act::LikeAgain { post, .. } | Act::LikeDeleted { post, .. } => {
                Call::post(format!("{}/likes", self.post_path(post)?), None)
            }
            Act::Unlike { post, .. } | Act::UnlikeAgain { post, .. } => {
                Call::delete(format!("{}/likes", self.post_path(post)?))
            }
        };
        Some(call)
    }

    /// The same as a step of the plan sends it.
    pub(crate) fn request(&self, act: Act, step: usize) -> Option<Call> {
        let call = self.call(act)?;
        Some(if act.is_keyed() { call.with_key(self.names.key(step)) } else { call })
    }

    /// Takes in an act that was answered with the status that it should be. An error names what the answer lacks.
    pub(crate) fn apply(&mut self, act: Act, step: usize, body: &Value) -> Result<(), String> {
        match act {
            Act::Register { person } => {
                // When it was created is in no answer yet; the first read of the own profile says it.
                self.people[person].id = text(body, "id")?;
                self.people[person].username = self.names.username(person);
            }
            Act::Bio { person, bio } => self.people[person].bio = Some(bio),
            Act::Rename { person } => self.people[person].username = self.names.username_after_rename(person),
            Act::Follow { follower, followee } => {
                let since = time(body, "created_at")?;
                self.people[followee].followers.insert(follower, since.clone());
                self.people[follower].following.insert(followee, since);
            }
            Act::Unfollow { follower, followee } => {
                self.people[followee].followers.remove(&follower);
                self.people[follower].following.remove(&followee);
            }
            Act::Publish { post } => {
                let (id, created_at) = (text(body, "id")?, time(body, "created_at")?);
                let planned = &self.plan.posts[post];
                self.people[planned.author].posts.push(post);
                self.posts[post] = Post { id, created_at, draft: planned.draft, ..Post::default() };
            }
            Act::Edit { post, draft } => {
                let edited_at = Some(time(body, "edited_at")?);
                let post = &mut self.posts[post];
                (post.draft, post.edited_at, post.edited_by) = (draft, edited_at, Some(act));
            }
            Act::DeletePost { post } => {
                self.people[self.plan.posts[post].author].posts.retain(|other| *other != post);
            }
            Act::Comment { comment } => {
                let (id, created_at) = (text(body, "id")?, time(body, "created_at")?);
                self.comments[comment] = Comment { id, created_at };
                self.posts[self.plan.comments[comment].post].comments.push(comment);
            }
            Act::DeleteComment { comment } => {
                self.posts[self.plan.comments[comment].post].comments.retain(|other| *other != comment);
            }
            Act::Like { person, post } => {
                let since = time(body, "created_at")?;
                self.posts[post].likes.insert(person, since);
            }
            Act::Unlike { person, post } => {
                self.posts[post].likes.remove(&person);
            }
            Act::Leave { person } => self.leave(person),
            Act::Logout { .. }
            | Act::FollowAgain { .. }
            | Act::UnfollowAgain { .. }
            | Act::FollowMyself { .. }
            | Act::LikeAgain { .. }
            | Act::UnlikeAgain { .. }
            | Act::LikeDeleted { .. }
            | Act::EditForeign { .. }
            | Act::DeletePostAgain { .. }
            | Act::DeleteCommentAgain { .. } => return Ok(()),
        }
        self.writes += 1;
        self.acknowledged.insert(act, Acknowledged { step, status: act.status() });
        Ok(())
    }

    /// Takes in when a person was registered, from the first read of their own profile.
    pub(crate) fn registered_at(&mut self, person: usize, body: &Value) -> Result<(), String> {
        self.people[person].created_at = time(body, "created_at")?;
        Ok(())
    }

    /// What the answer to an act must hold, after the act was applied; without what others may be changing meanwhile.
    pub(crate) fn answer(&self, act: Act) -> Value {
        match act {
            Act::Register { person } => json!({
                "id": self.people[person].id,
                "email": self.names.email(person),
                "username": self.people[person].username,
            }),
            Act::Bio { person, .. } | Act::Rename { person } => self.own_profile_without_counts(person),
            Act::Follow { follower, followee } | Act::FollowAgain { follower, followee } => json!({
                "follower_id": self.people[follower].id,
                "followee_id": self.people[followee].id,
                "created_at": self.people[follower].following.get(&followee),
            }),
            Act::Publish { post } => self.post(post, Some(self.plan.posts[post].author)),
            Act::Edit { post, .. } => self.post_without_reactions(post),
            Act::Comment { comment } => self.comment(comment),
            Act::Like { person, post } | Act::LikeAgain { person, post } => self.like(post, person),
            Act::FollowMyself { .. } => refusal("Conflict", 409),
            Act::EditForeign { .. } => refusal("Forbidden", 403),
            Act::UnfollowAgain { .. }
            | Act::UnlikeAgain { .. }
            | Act::LikeDeleted { .. }
            | Act::DeletePostAgain { .. }
            | Act::DeleteCommentAgain { .. } => refusal("NotFound", 404),
            Act::Logout { .. }
            | Act::Leave { .. }
            | Act::Unfollow { .. }
            | Act::DeletePost { .. }
            | Act::DeleteComment { .. }
            | Act::Unlike { .. } => Value::Null,
        }
    }

    /// An acknowledged write in words, with its key, status and resource.
    pub(crate) fn describe(&self, act: Act) -> String {
        let acknowledged = self.acknowledged.get(&act);
        let Some((call, ack)) = acknowledged.and_then(|ack| Some((self.request(act, ack.step)?, ack))) else {
            return format!("{act:?}");
        };
        let resource = match act {
            Act::Register { person } => format!(" with id {}", self.people[person].id),
            Act::Publish { post } => format!(" with id {}", self.posts[post].id),
            Act::Comment { comment } => format!(" with id {}", self.comments[comment].id),
            _ => String::new(),
        };
        let by = self.username(act.actor(&self.plan));
        format!("{call} by {by}, answered {}{resource}", ack.status)
    }

    pub(crate) fn username(&self, person: usize) -> &str {
        &self.people[person].username
    }

    pub(crate) fn person_id(&self, person: usize) -> Option<&str> {
        known(&self.people[person].id)
    }

    pub(crate) fn post_id(&self, post: usize) -> Option<&str> {
        known(&self.posts[post].id)
    }

    pub(crate) fn comment_id(&self, comment: usize) -> Option<&str> {
        known(&self.comments[comment].id)
    }

    pub(crate) fn post_path(&self, post: usize) -> Option<String> {
        Some(format!("/posts/{}", self.post_id(post)?))
    }

    pub(crate) fn likes(&self, person: usize, post: usize) -> bool {
        self.posts[post].likes.contains_key(&person)
    }

    pub(crate) fn follows(&self, follower: usize, followee: usize) -> bool {
        self.people[follower].following.contains_key(&followee)
    }

    /// The act that the text of the post comes from, if it is not the first.
    pub(crate) fn last_edit(&self, post: usize) -> Option<Act> {
        self.posts[post].edited_by
    }

    pub(crate) fn last_bio(&self, person: usize) -> Option<Act> {
        self.people[person].bio.map(|bio| Act::Bio { person, bio })
    }

    pub(crate) fn is_acknowledged(&self, act: Act) -> bool {
        self.acknowledged.contains_key(&act)
    }

    /// The ids of everybody of this run, with their numbers.
    pub(crate) fn people_by_id(&self) -> HashMap<String, usize> {
        self.people.iter().map(|person| person.id.clone()).zip(0..).collect()
    }

    /// The ids of all posts of this run, deleted ones too, with their numbers.
    pub(crate) fn posts_by_id(&self) -> HashMap<String, usize> {
        self.posts.iter().map(|post| post.id.clone()).zip(0..).collect()
    }

    /// The ids of all comments of this run, deleted ones too, with their numbers.
    pub(crate) fn comments_by_id(&self) -> HashMap<String, usize> {
        self.comments.iter().map(|comment| comment.id.clone()).zip(0..).collect()
    }
}

/// Resources as JSON.
impl Model {
    pub(crate) fn own_profile(&self, person: usize) -> Value {
        let mut profile = self.public_profile(person, None);
        profile["email"] = self.names.email(person).into();
        profile
    }

    pub(crate) fn own_profile_without_counts(&self, person: usize) -> Value {
        without(self.own_profile(person), &["created_at", "follower_count", "following_count", "posts_count"])
    }

    pub(crate) fn public_profile(&self, person: usize, reader: Option<usize>) -> Value {
        let mut profile = self.face(person);
        let Person { created_at, bio, followers, following, posts, .. } = &self.people[person];
        profile["bio"] = bio.map(|bio| self.plan.bios[bio].as_str()).into();
        profile["created_at"] = created_at.as_str().into();
        profile["follower_count"] = followers.len().into();
        profile["following_count"] = following.len().into();
        profile["posts_count"] = posts.len().into();
        if let Some(reader) = reader {
            profile["viewer"] = self.relation(reader, person);
        }
        profile
    }

    pub(crate) fn relation(&self, reader: usize, person: usize) -> Value {
        json!({
            "following": self.follows(reader, person),
            "followed_by": self.follows(person, reader),
            "blocking": false,
            "muting": false,
        })
    }

    pub(crate) fn post(&self, post: usize, reader: Option<usize>) -> Value {
        let Post { id, created_at, draft, edited_at, likes, comments, .. } = &self.posts[post];
        let author = self.plan.posts[post].author;
        let draft = &self.plan.drafts[*draft];
        let mentions: Vec<Value> = draft
            .mentions()
            .into_iter()
            .filter(|person| !self.has_left(*person))
            .map(|person| json!({"id": self.people[person].id, "username": self.people[person].username}))
            .collect();
        json!({
            "id": id,
            "author_id": self.people[author].id,
            "author": self.face(author),
            "content": draft.text(&self.names),
            "media_url": null,
            "hashtags": draft.hashtags(),
            "mentions": mentions,
            "status": "PUBLISHED",
            "likes_count": likes.len(),
            "comments_count": comments.len(),
            "liked_by_me": reader.is_some_and(|reader| likes.contains_key(&reader)),
            "created_at": created_at,
            "edited_at": edited_at,
        })
    }

    pub(crate) fn post_without_reactions(&self, post: usize) -> Value {
        without(self.post(post, None), &["likes_count", "comments_count", "liked_by_me"])
    }

    pub(crate) fn comment(&self, comment: usize) -> Value {
        let planned = &self.plan.comments[comment];
        json!({
            "id": self.comments[comment].id,
            "post_id": self.posts[planned.post].id,
            "author_id": self.people[planned.author].id,
            "author": self.face(planned.author),
            "text": planned.text,
            "created_at": self.comments[comment].created_at,
        })
    }

    pub(crate) fn like(&self, post: usize, person: usize) -> Value {
        json!({
            "post_id": self.posts[post].id,
            "user_id": self.people[person].id,
            "user": self.face(person),
            "created_at": self.posts[post].likes.get(&person),
        })
    }

    fn face(&self, person: usize) -> Value {
        let Person { id, username, .. } = &self.people[person];
        json!({"id": id, "username": username, "avatar_url": null})
    }
}

/// Lists, in the order of the API.
impl Model {
    /// Newest follow first.
    pub(crate) fn followers(&self, person: usize) -> Vec<usize> {
        self.newest_first(&self.people[person].followers)
    }

    /// Newest follow first.
    pub(crate) fn following(&self, person: usize) -> Vec<usize> {
        self.newest_first(&self.people[person].following)
    }

    /// Newest like first.
    pub(crate) fn likes_of(&self, post: usize) -> Vec<usize> {
        self.newest_first(&self.posts[post].likes)
    }

    /// Oldest first.
    pub(crate) fn comments_of(&self, post: usize) -> Vec<usize> {
        let mut comments = self.posts[post].comments.clone();
        comments.sort_by_key(|comment| (&self.comments[*comment].created_at, &self.comments[*comment].id));
        comments
    }

    /// Newest first.
    pub(crate) fn posts_of(&self, author: usize) -> Vec<usize> {
        self.newest_posts_first(self.people[author].posts.clone())
    }

    /// Newest first.
    pub(crate) fn all_posts(&self) -> Vec<usize> {
        self.newest_posts_first(self.people.iter().flat_map(|person| &person.posts).copied().collect())
    }

    /// The reader's own posts and those of whom they follow, newest first.
    pub(crate) fn feed(&self, reader: usize) -> Vec<usize> {
        let authors = self.people[reader].following.keys().chain([&reader]);
        self.newest_posts_first(authors.flat_map(|author| &self.people[*author].posts).copied().collect())
    }

    /// Registered people, without those who have left.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = usize> {
        (0..self.people.len()).filter(|person| self.person_id(*person).is_some() && !self.has_left(*person))
    }

    /// Posts that were acknowledged, deleted ones too.
    pub(crate) fn every_post(&self) -> impl Iterator<Item = usize> {
        (0..self.posts.len()).filter(|post| self.post_id(*post).is_some())
    }

    fn newest_posts_first(&self, mut posts: Vec<usize>) -> Vec<usize> {
        posts.sort_by_key(|post| Reverse((&self.posts[*post].created_at, &self.posts[*post].id)));
        posts
    }

    fn newest_first(&self, since: &BTreeMap<usize, String>) -> Vec<usize> {
        let mut people: Vec<usize> = since.keys().copied().collect();
        people.sort_by_key(|person| Reverse((&since[person], &self.people[*person].id)));
        people
    }
}

fn refusal(error: &str, status: u16) -> Value {
    json!({"error": error, "status_code": status})
}

fn without(mut value: Value, fields: &[&str]) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|field, _| !fields.contains(&field.as_str()));
    }
    value
}

/// `None` for what was never acknowledged.
fn known(id: &str) -> Option<&str> {
    (!id.is_empty()).then_some(id)
}

fn text(body: &Value, field: &str) -> Result<String, String> {
    let text = body[field].as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| format!("the answer holds no {field}"))
}

/// RFC 3339 in UTC with six fractional digits, as fixed width is what makes the order of strings the order of times.
fn time(body: &Value, field: &str) -> Result<String, String> {
    const FORM: &[u8] = b"0000-00-00T00:00:00.000000Z";
    let text = text(body, field)?;
    let fits = text.len() == FORM.len()
        && text.bytes().zip(FORM).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form });
    if fits { Ok(text) } else { Err(format!("{field} is not a time with six fractional digits: {text}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::Draft;
    use crate::plan::{PlannedComment, PlannedPost};

    pub(super) const A: &str = "2026-01-01T00:00:00.000001Z";
    pub(super) const B: &str = "2026-01-01T00:00:00.000002Z";

    /// Three people; person 0 wrote posts 0 and 2, person 1 wrote post 1; two comments of person 2 on post 0. Every post
    /// mentions person 1.
    pub(super) fn model() -> Model {
        let comment = || PlannedComment { author: 2, post: 0, text: "so".to_owned() };
        let plan = Plan {
            people: 3,
            bios: vec!["first".to_owned()],
            drafts: vec![Draft::about(1, 1), Draft::about(2, 1)],
            posts: [0, 1, 0].map(|author| PlannedPost { author, draft: 0 }).into(),
            comments: vec![comment(), comment()],
            steps: Vec::new(),
            phases: Vec::new(),
        };
        let mut model = Model::new(Arc::new(plan), Names::of_run("abcdef"));
        for person in 0..3 {
            apply(&mut model, Act::Register { person }, json!({"id": format!("u{person}")}));
        }
        for (post, at) in [(0, A), (1, B), (2, B)] {
            apply(&mut model, Act::Publish { post }, json!({"id": format!("p{post}"), "created_at": at}));
        }
        model
    }

    #[expect(clippy::needless_pass_by_value, reason = "a literal at every call")]
    pub(super) fn apply(model: &mut Model, act: Act, body: Value) {
        model.apply(act, 0, &body).unwrap();
    }

    #[test]
    fn a_feed_is_ones_own_posts_and_those_of_whom_one_follows_newest_first() {
        let mut model = model();
        assert_eq!(model.feed(0), [2, 0]);
        apply(&mut model, Act::Follow { follower: 0, followee: 1 }, json!({"created_at": A}));
        assert_eq!(model.feed(0), [2, 1, 0], "at the same time the greater id is first");
        apply(&mut model, Act::DeletePost { post: 2 }, Value::Null);
        apply(&mut model, Act::Unfollow { follower: 0, followee: 1 }, Value::Null);
        assert_eq!(model.feed(0), [0]);
        assert_eq!(model.all_posts(), [1, 0]);
        assert_eq!(model.public_profile(0, None)["posts_count"], 1);
    }

    #[test]
    fn follows_are_listed_newest_first_and_then_by_the_listed_user() {
        let mut model = model();
        for (follower, at) in [(1, A), (2, A)] {
            apply(&mut model, Act::Follow { follower, followee: 0 }, json!({"created_at": at}));
        }
        assert_eq!(model.followers(0), [2, 1]);
        apply(&mut model, Act::Unfollow { follower: 1, followee: 0 }, Value::Null);
        apply(&mut model, Act::Follow { follower: 1, followee: 0 }, json!({"created_at": B}));
        assert_eq!(model.followers(0), [1, 2]);
        assert_eq!(model.public_profile(0, Some(1))["viewer"]["following"], true);
        assert_eq!(model.public_profile(0, Some(1))["viewer"]["followed_by"], false);
        assert_eq!(model.public_profile(1, None).get("viewer"), None);
    }

    #[test]
    fn comments_are_oldest_first_and_deleted_ones_do_not_count() {
        let mut model = model();
        apply(&mut model, Act::Comment { comment: 0 }, json!({"id": "c9", "created_at": B}));
        apply(&mut model, Act::Comment { comment: 1 }, json!({"id": "c1", "created_at": B}));
        assert_eq!(model.comments_of(0), [1, 0]);
        apply(&mut model, Act::DeleteComment { comment: 1 }, Value::Null);
        assert_eq!(model.post(0, None)["comments_count"], 1);
    }

    #[test]
    fn a_like_counts_for_all_and_shows_to_who_likes() {
        let mut model = model();
        apply(&mut model, Act::Like { person: 1, post: 0 }, json!({"created_at": B}));
        assert_eq!(model.post(0, None)["likes_count"], 1);
        assert_eq!(model.post(0, Some(1))["liked_by_me"], true);
        assert_eq!(model.post(0, Some(2))["liked_by_me"], false);
        apply(&mut model, Act::Unlike { person: 1, post: 0 }, Value::Null);
        assert!(model.likes_of(0).is_empty());
    }

    #[test]
    fn an_edit_changes_text_and_tags_and_says_when() {
        let mut model = model();
        assert_eq!(model.post(0, None)["edited_at"], Value::Null);
        apply(&mut model, Act::Edit { post: 0, draft: 1 }, json!({"edited_at": B}));
        let post = model.post(0, None);
        assert_eq!((&post["edited_at"], &post["hashtags"]), (&json!(B), &json!(["topic2"])));
        assert_eq!(post["created_at"], A);
    }

    #[test]
    fn a_new_name_shows_everywhere() {
        let mut model = model();
        apply(&mut model, Act::Rename { person: 0 }, json!({}));
        assert_eq!(model.post(0, None)["author"]["username"], "ada0r_abcdef");
        assert_eq!(model.own_profile(0)["email"], "ada0.abcdef@example.com");
    }

    #[test]
    fn what_was_never_acknowledged_has_no_request_about_it() {
        let mut model = model();
        assert!(model.call(Act::DeleteComment { comment: 0 }).is_none());
        apply(&mut model, Act::Comment { comment: 0 }, json!({"id": "c1", "created_at": A}));
        let call = model.call(Act::DeleteComment { comment: 0 }).unwrap();
        assert_eq!(call.to_string(), "DELETE /posts/p0/comments/c1");
    }

    #[test]
    fn a_time_of_another_form_is_refused() {
        for bad in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001+0", "", "2026-01-01 00:00:00.000001Z"] {
            assert!(time(&json!({"t": bad}), "t").is_err(), "{bad}");
        }
        assert!(time(&json!({"t": A}), "t").is_ok());
    }

    #[test]
    fn an_acknowledged_write_is_described_with_key_status_and_id() {
        let line = model().describe(Act::Publish { post: 1 });
        assert_eq!(line, "POST /posts (key demo-abcdef-0) by grace1_abcdef, answered 201 with id p1");
    }
}
