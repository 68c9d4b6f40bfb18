//! A tiny server with the API that the demo uses, correct or with one bug. All its state follows from the writes that it
//! has taken, in their order, so a file of them is enough to come back after a kill.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// Not one of the server's: the connection is lost over which a deletion would be answered.
    LeaveUnanswered,
    LostPost,
    LostLike,
    LostFollow,
    LostEdit,
    LostBio,
    LostUnfollow,
    IgnoredUnlike,
    IgnoredCommentDeletion,
    DeletedPostListed,
    DeletedPostAnswered,
    DoubledComment,
    DoubledPostForKey,
    CommentsCountAfterDeletion,
    FollowerCount,
    LikedByMeOfAnother,
    SkippedAtBorder,
    RepeatedAtBorder,
    CursorAtEnd,
    NoCursor,
    PageTooLong,
    NoLink,
    FeedOldestFirst,
    FollowersByName,
    ForeignPostInFeed,
    OwnPostsNotInFeed,
    StaleAuthorName,
    HashtagsRepeated,
    HashtagInsideWord,
    MentionLeftOut,
    NeverEdited,
    EmailShown,
    ViewerMirrored,
    AnybodyEdits,
    TokenOutlivesLogout,
    LogoutEverywhere,
    OtherTimeInList,
    TokenOutlivesDeletion,
    CommentOfWhoLeftCounted,
    PostOfWhoLeftInFeed,
    MentionOfWhoLeft,
    TicketForgotten,
    AddressStaysTaken,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With the query.
    pub(crate) target: String,
    pub(crate) token: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) body: Value,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) link: bool,
    pub(crate) location: Option<String>,
    pub(crate) lost: bool,
}

pub(crate) struct Fake {
    bug: Bug,
    clock: u64,
    people: Vec<Person>,
    tokens: HashMap<String, usize>,
    follows: Vec<(usize, usize, String)>,
    posts: Vec<Post>,
    answered: HashMap<String, (u16, Value)>,
    journal: Option<File>,
}

struct Person {
    id: String,
    email: String,
    name: String,
    bio: Option<String>,
    at: String,
    left: bool,
}

struct Post {
    id: String,
    author: usize,
    author_name: String,
    content: String,
    mentions: Vec<usize>,
    at: String,
    edited: Option<String>,
    deleted: bool,
    likes: Vec<(usize, String)>,
    comments: Vec<Comment>,
    comments_ever: usize,
}

#[derive(Clone)]
struct Comment {
    id: String,
    author: usize,
    text: String,
    at: String,
}

type Outcome = (u16, Value);

const NOT_FOUND: u16 = 404;

fn error(status: u16) -> Outcome {
    let name = match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        409 => "Conflict",
        _ => "NotFound",
    };
    (status, json!({"error": name, "status_code": status, "message": name}))
}

impl Reply {
    fn of((status, body): Outcome) -> Self {
        Self { status, body, link: false, location: None, lost: false }
    }
}

impl Fake {
    pub(crate) fn new(bug: Bug) -> Self {
        Self {
            bug,
            clock: 0,
            people: Vec::new(),
            tokens: HashMap::new(),
            follows: Vec::new(),
            posts: Vec::new(),
            answered: HashMap::new(),
            journal: None,
        }
    }

    /// Comes back as it was when it last wrote this file.
    pub(crate) fn journaled(path: &Path, bug: Bug) -> Self {
        let mut fake = Self::new(bug);
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            let Ok(request) = serde_json::from_str::<Value>(line) else { continue };
            let text = |field: &str| request[field].as_str().map(str::to_owned);
            fake.serve(&Request {
                method: text("method").unwrap(),
                target: text("target").unwrap(),
                token: text("token"),
                key: text("key"),
                body: request["body"].clone(),
            });
        }
        // A line that was cut off must not swallow the next one.
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(b"\n").unwrap();
        fake.journal = Some(file);
        fake
    }

    pub(crate) fn serve(&mut self, request: &Request) -> Reply {
        let me = request.token.as_ref().and_then(|token| self.tokens.get(token)).copied();
        if request.token.is_some() && me.is_none() {
            return Reply::of(error(401));
        }
        if request.method == "GET" {
            let reply = Reply::of(self.read(&request.target, me).unwrap_or_else(error));
            let link = reply.body["next_cursor"].is_string() && self.bug != Bug::NoLink;
            return Reply { link, ..reply };
        }
        if let Some(journal) = &mut self.journal {
            let Request { method, target, token, key, body } = request;
            let line = json!({"method": method, "target": target, "token": token, "key": key, "body": body});
            journal.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        let forgetful = self.bug == Bug::DoubledPostForKey && request.target == "/posts";
        if let Some(answered) = request.key.as_ref().and_then(|key| self.answered.get(key)).cloned()
            && !forgetful
        {
            return Reply::of(answered);
        }
        let outcome = self.write(request, me).unwrap_or_else(error);
        if let Some(key) = request.key.clone() {
            self.answered.insert(key, outcome.clone());
        }
        let location = me.filter(|me| self.people[*me].left).map(|me| format!("/deletions/{me}"));
        let lost = location.is_some() && self.bug == Bug::LeaveUnanswered;
        Reply { location, lost, ..Reply::of(outcome) }
    }

    fn write(&mut self, request: &Request, me: Option<usize>) -> Result<Outcome, u16> {
        let parts: Vec<&str> = request.target.trim_matches('/').split('/').collect();
        let body = &request.body;
        let text = |field: &str| body[field].as_str().map(str::to_owned);
        if let ["users", "auth", "register" | "login"] = parts[..] {
            return self.sign_in(parts[2] == "register", text("email"), text("username"));
        }
        let me = me.ok_or(401_u16)?;
        match (request.method.as_str(), &parts[..]) {
            ("POST", ["users", "auth", "logout"]) => {
                if self.bug != Bug::TokenOutlivesLogout {
                    let everywhere = self.bug == Bug::LogoutEverywhere;
                    self.tokens.retain(|token, person| {
                        Some(token) != request.token.as_ref() && !(everywhere && *person == me)
                    });
                }
                Ok((204, Value::Null))
            }
            ("PUT", ["users", "me"]) => {
                if let Some(bio) = text("bio")
                    && !(self.bug == Bug::LostBio && self.people[me].bio.is_some())
                {
                    self.people[me].bio = Some(bio);
                }
                if let Some(name) = text("username") {
                    self.people[me].name = name;
                }
                let mut profile = self.profile(me, Some(me), true);
                if let Some(bio) = text("bio") {
                    profile["bio"] = bio.into();
                }
                Ok((200, profile))
            }
            ("DELETE", ["users", "me"]) => {
                self.leave(me);
                Ok((204, Value::Null))
            }
            (method, ["users", id, "follow"]) => self.follow(method == "POST", me, id),
            ("POST", ["posts"]) => {
                let (id, at) = self.mint();
                let content = text("content").unwrap();
                let post = Post {
                    id,
                    author: me,
                    author_name: self.people[me].name.clone(),
                    mentions: self.mentions(&content),
                    content,
                    at,
                    edited: None,
                    deleted: false,
                    likes: Vec::new(),
                    comments: Vec::new(),
                    comments_ever: 0,
                };
                self.posts.push(post);
                let answer = self.post(self.posts.len() - 1, Some(me));
                if self.bug == Bug::LostPost && self.posts.len() == 11 {
                    self.posts.pop();
                }
                Ok((201, answer))
            }
            (method, ["posts", id]) => {
                let index = self.find(id)?;
                if self.posts[index].author != me && self.bug != Bug::AnybodyEdits {
                    return Err(403);
                }
                if method == "DELETE" {
                    self.posts[index].deleted = true;
                    return Ok((204, Value::Null));
                }
                let (_, at) = self.mint();
                let content = text("content").unwrap();
                let before = (self.posts[index].content.clone(), self.posts[index].mentions.clone());
                self.posts[index].mentions = self.mentions(&content);
                self.posts[index].content = content;
                self.posts[index].edited = Some(at);
                let answer = self.post(index, Some(me));
                if self.bug == Bug::LostEdit {
                    (self.posts[index].content, self.posts[index].mentions) = before;
                }
                Ok((200, answer))
            }
            (method, ["posts", id, "likes"]) => {
                let index = self.find(id)?;
                self.like(method == "POST", me, index)
            }
            ("POST", ["posts", id, "comments"]) => {
                let index = self.find(id)?;
                let (id, at) = self.mint();
                let comment = Comment { id, author: me, text: text("text").unwrap(), at };
                let post = &mut self.posts[index];
                post.comments.push(comment.clone());
                post.comments_ever += 1;
                if self.bug == Bug::DoubledComment && self.clock.is_multiple_of(9) {
                    let (id, at) = self.mint();
                    self.posts[index].comments.push(Comment { id, at, ..comment.clone() });
                }
                Ok((201, self.comment(index, &comment)))
            }
            ("DELETE", ["posts", id, "comments", comment]) => {
                let index = self.find(id)?;
                let comments = &mut self.posts[index].comments;
                let at = comments.iter().position(|other| other.id == *comment).ok_or(NOT_FOUND)?;
                if self.bug != Bug::IgnoredCommentDeletion {
                    comments.remove(at);
                }
                Ok((204, Value::Null))
            }
            _ => Err(NOT_FOUND),
        }
    }

    fn sign_in(&mut self, register: bool, email: Option<String>, name: Option<String>) -> Result<Outcome, u16> {
        let email = email.unwrap();
        let (id, at) = self.mint();
        if register {
            if self.bug == Bug::AddressStaysTaken && self.people.iter().any(|person| person.email == email) {
                return Err(409);
            }
            let (name, bio, left) = (name.unwrap(), None, false);
            self.people.push(Person { id: id.clone(), email: email.clone(), name, bio, at, left });
        }
        let found = self.people.iter().position(|person| person.email == email && !person.left);
        let person = found.ok_or(401_u16)?;
        let token = format!("token-{id}");
        self.tokens.insert(token.clone(), person);
        let Person { id, name, .. } = &self.people[person];
        let session = json!({
            "id": id, "email": email, "username": name, "access_token": token, "refresh_token": "r",
            "token_type": "Bearer", "expires_in": 900,
        });
        Ok((if register { 201 } else { 200 }, session))
    }

    /// Their posts and comments stay here and are not shown any more.
    fn leave(&mut self, me: usize) {
        self.people[me].left = true;
        if self.bug != Bug::TokenOutlivesDeletion {
            self.tokens.retain(|_, person| *person != me);
        }
        self.follows.retain(|(follower, followee, _)| *follower != me && *followee != me);
        for post in &mut self.posts {
            post.likes.retain(|(person, _)| *person != me);
        }
    }

    fn is_gone(&self, post: &Post) -> bool {
        post.deleted || self.people[post.author].left
    }

    fn comments(&self, post: &Post) -> Vec<Comment> {
        post.comments.iter().filter(|comment| !self.people[comment.author].left).cloned().collect()
    }

    fn follow(&mut self, begin: bool, me: usize, id: &str) -> Result<Outcome, u16> {
        let them = self.person(id)?;
        if me == them {
            return Err(409);
        }
        let found = self.follows.iter().position(|(a, b, _)| (*a, *b) == (me, them));
        let answer = |at: &str, people: &[Person]| json!({"follower_id": people[me].id, "followee_id": people[them].id, "created_at": at});
        match (begin, found) {
            (true, Some(found)) => Ok((200, answer(&self.follows[found].2, &self.people))),
            (true, None) => {
                let (_, at) = self.mint();
                let body = answer(&at, &self.people);
                if !(self.bug == Bug::LostFollow && self.follows.len() == 20) {
                    self.follows.push((me, them, at));
                }
                Ok((201, body))
            }
            (false, Some(found)) => {
                if self.bug != Bug::LostUnfollow {
                    self.follows.remove(found);
                }
                Ok((204, Value::Null))
            }
            (false, None) => Err(NOT_FOUND),
        }
    }

    fn like(&mut self, begin: bool, me: usize, index: usize) -> Result<Outcome, u16> {
        let found = self.posts[index].likes.iter().position(|(person, _)| *person == me);
        match (begin, found) {
            (true, Some(found)) => {
                let at = self.posts[index].likes[found].1.clone();
                Ok((200, self.like_json(index, me, &at)))
            }
            (true, None) => {
                let (_, at) = self.mint();
                if !(self.bug == Bug::LostLike && self.clock.is_multiple_of(50)) {
                    self.posts[index].likes.push((me, at.clone()));
                }
                Ok((201, self.like_json(index, me, &at)))
            }
            (false, Some(found)) => {
                if self.bug != Bug::IgnoredUnlike {
                    self.posts[index].likes.remove(found);
                }
                Ok((204, Value::Null))
            }
            (false, None) => Err(NOT_FOUND),
        }
    }

    fn read(&self, target: &str, me: Option<usize>) -> Result<Outcome, u16> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let body = match parts[..] {
            ["readyz"] => json!({}),
            ["deletions", person] => {
                let person: usize = person.parse().unwrap();
                if !self.people[person].left || self.bug == Bug::TicketForgotten {
                    return Err(NOT_FOUND);
                }
                let at = "2026-01-01T00:00:00.000000Z";
                let steps = json!([{"step": "ERASE", "done": true}]);
                json!({"status": "COMPLETED", "requested_at": at, "completed_at": at, "steps": steps})
            }
            ["users", "me"] => {
                let me = me.ok_or(401_u16)?;
                self.profile(me, None, true)
            }
            ["users", id] => self.profile(self.person(id)?, me, self.bug == Bug::EmailShown),
            ["users", id, side] => {
                let person = self.person(id)?;
                let pick = |(a, b, at): &(usize, usize, String)| {
                    let (listed, of) = if side == "followers" { (*a, *b) } else { (*b, *a) };
                    (of == person).then(|| ((at.clone(), self.people[listed].id.clone()), listed))
                };
                let mut listed: Vec<_> = self.follows.iter().filter_map(pick).collect();
                listed.sort_by(|a, b| b.cmp(a));
                if self.bug == Bug::FollowersByName {
                    listed.sort_by_key(|(_, person)| self.people[*person].name.clone());
                }
                self.page(
                    "users",
                    &query,
                    &listed.iter().map(|(_, person)| self.profile(*person, me, false)).collect::<Vec<_>>(),
                )
            }
            ["posts"] => {
                let author = query.get("author_id");
                let mut posts = self.newest(|post| {
                    let listed = self.bug == Bug::DeletedPostListed && !self.people[post.author].left;
                    author.is_none_or(|author| *author == self.people[post.author].id)
                        && (!self.is_gone(post) || listed)
                });
                if self.bug == Bug::OtherTimeInList {
                    return Ok((
                        200,
                        self.page(
                            "posts",
                            &query,
                            &posts
                                .drain(..)
                                .map(|index| {
                                    let mut post = self.post(index, me);
                                    post["created_at"] = "2026-01-01T00:00:00.999999Z".into();
                                    post
                                })
                                .collect::<Vec<_>>(),
                        ),
                    ));
                }
                self.page("posts", &query, &posts.iter().map(|index| self.post(*index, me)).collect::<Vec<_>>())
            }
            ["feed"] => {
                let me = me.ok_or(401_u16)?;
                let mut posts = self.newest(|post| {
                    let followed = self.follows.iter().any(|(a, b, _)| (*a, *b) == (me, post.author));
                    let own = post.author == me && self.bug != Bug::OwnPostsNotInFeed;
                    let foreign = self.bug == Bug::ForeignPostInFeed && post.id.ends_with('7');
                    let left = self.bug == Bug::PostOfWhoLeftInFeed && self.people[post.author].left;
                    (!self.is_gone(post) && (followed || own || foreign)) || (!post.deleted && left)
                });
                if self.bug == Bug::FeedOldestFirst {
                    posts.reverse();
                }
                self.page("feed", &query, &posts.iter().map(|index| self.post(*index, Some(me))).collect::<Vec<_>>())
            }
            ["posts", id] => {
                let index = match self.find(id) {
                    Err(_) if self.bug == Bug::DeletedPostAnswered => {
                        self.posts.iter().position(|post| post.id == id).ok_or(NOT_FOUND)?
                    }
                    found => found?,
                };
                self.post(index, me)
            }
            ["posts", id, "comments"] => {
                let index = self.find(id)?;
                let mut comments = self.comments(&self.posts[index]);
                comments.sort_by(|a, b| (&a.at, &a.id).cmp(&(&b.at, &b.id)));
                self.page(
                    "comments",
                    &query,
                    &comments.iter().map(|comment| self.comment(index, comment)).collect::<Vec<_>>(),
                )
            }
            ["posts", id, "likes"] => {
                let index = self.find(id)?;
                let mut likes: Vec<_> = self.posts[index].likes.iter().collect();
                likes.sort_by_key(|(person, at)| std::cmp::Reverse((at, &self.people[*person].id)));
                self.page(
                    "likes",
                    &query,
                    &likes.into_iter().map(|(person, at)| self.like_json(index, *person, at)).collect::<Vec<_>>(),
                )
            }
            _ => return Err(NOT_FOUND),
        };
        Ok((200, body))
    }

    fn page(&self, array: &str, query: &HashMap<&str, &str>, items: &[Value]) -> Value {
        let limit: usize = query.get("limit").map_or(20, |limit| limit.parse().unwrap());
        let start: usize = query.get("cursor").map_or(0, |cursor| cursor.trim_start_matches('c').parse().unwrap());
        let mut end = (start + limit).min(items.len());
        if self.bug == Bug::PageTooLong && end < items.len() {
            end += 1;
        }
        let on = match self.bug {
            Bug::CursorAtEnd => end - start == limit,
            Bug::NoCursor => false,
            _ => end < items.len(),
        };
        let next = match self.bug {
            Bug::SkippedAtBorder => end + 1,
            Bug::RepeatedAtBorder => end.saturating_sub(1),
            _ => end,
        };
        let page = items.get(start..end).unwrap_or_default();
        json!({array: page, "next_cursor": on.then(|| format!("c{next}"))})
    }

    fn newest(&self, wanted: impl Fn(&Post) -> bool) -> Vec<usize> {
        let mut posts: Vec<usize> = (0..self.posts.len()).filter(|index| wanted(&self.posts[*index])).collect();
        posts.sort_by_key(|index| std::cmp::Reverse((&self.posts[*index].at, &self.posts[*index].id)));
        posts
    }

    fn profile(&self, person: usize, viewer: Option<usize>, own: bool) -> Value {
        let follows = |a: usize, b: usize| self.follows.iter().any(|(x, y, _)| (*x, *y) == (a, b));
        let Person { id, email, name, bio, at, .. } = &self.people[person];
        let followers = self.follows.iter().filter(|(_, followee, _)| *followee == person).count();
        let mut profile = json!({
            "id": id, "username": name, "bio": bio, "avatar_url": null, "created_at": at,
            "follower_count": followers + usize::from(self.bug == Bug::FollowerCount && followers > 6),
            "following_count": self.follows.iter().filter(|(follower, ..)| *follower == person).count(),
            "posts_count": self.posts.iter().filter(|post| post.author == person && !post.deleted).count(),
        });
        if own {
            profile["email"] = email.as_str().into();
        }
        if let Some(viewer) = viewer {
            let mirrored = self.bug == Bug::ViewerMirrored;
            let (following, followed_by) = (follows(viewer, person), follows(person, viewer));
            let followed_by = if mirrored { following } else { followed_by };
            profile["viewer"] =
                json!({"following": following, "followed_by": followed_by, "blocking": false, "muting": false});
        }
        profile
    }

    fn post(&self, index: usize, me: Option<usize>) -> Value {
        let post = &self.posts[index];
        let mut author = self.face(post.author);
        if self.bug == Bug::StaleAuthorName {
            author["username"] = post.author_name.as_str().into();
        }
        let mentioned = post.mentions.iter().map(|person| &self.people[*person]);
        let mentions = mentioned
            .filter(|person| !person.left || self.bug == Bug::MentionOfWhoLeft)
            .map(|Person { id, name, .. }| json!({"id": id, "username": name}));
        let liked = |person: usize| post.likes.iter().any(|(liker, _)| *liker == person);
        let liked_by_me = if self.bug == Bug::LikedByMeOfAnother { liked(0) } else { me.is_some_and(liked) };
        let comments_count = match self.bug {
            Bug::CommentsCountAfterDeletion => post.comments_ever,
            Bug::CommentOfWhoLeftCounted => post.comments.len(),
            _ => self.comments(post).len(),
        };
        json!({
            "id": post.id, "author_id": self.people[post.author].id, "author": author, "content": post.content,
            "media_url": null, "hashtags": self.hashtags(&post.content), "mentions": mentions.collect::<Vec<_>>(),
            "status": "PUBLISHED", "likes_count": post.likes.len(),
            "comments_count": comments_count,
            "liked_by_me": liked_by_me, "created_at": post.at,
            "edited_at": post.edited.as_ref().filter(|_| self.bug != Bug::NeverEdited),
        })
    }

    fn comment(&self, post: usize, comment: &Comment) -> Value {
        json!({
            "id": comment.id, "post_id": self.posts[post].id, "author_id": self.people[comment.author].id,
            "author": self.face(comment.author), "text": comment.text, "created_at": comment.at,
        })
    }

    fn like_json(&self, post: usize, person: usize, at: &str) -> Value {
        let (post, user) = (&self.posts[post].id, &self.people[person].id);
        json!({"post_id": post, "user_id": user, "user": self.face(person), "created_at": at})
    }

    fn face(&self, person: usize) -> Value {
        json!({"id": self.people[person].id, "username": self.people[person].name, "avatar_url": null})
    }

    /// Scans characters, where the demo knows what it has put in.
    fn hashtags(&self, content: &str) -> Vec<String> {
        let mut tags: Vec<String> = Vec::new();
        let mut before = ' ';
        let mut rest = content;
        while let Some(char) = rest.chars().next() {
            rest = &rest[char.len_utf8()..];
            let inside = is_word(before) && self.bug != Bug::HashtagInsideWord;
            if char == '#' && !inside {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let tag = folded(&rest[..end]);
                let repeated = tags.contains(&tag) && self.bug != Bug::HashtagsRepeated;
                if !tag.chars().all(|c| c.is_ascii_digit()) && !repeated && tags.len() < 30 {
                    tags.push(tag);
                }
            }
            before = char;
        }
        tags
    }

    fn mentions(&self, content: &str) -> Vec<usize> {
        let mut people = Vec::new();
        for part in content.split('@').skip(1) {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
            let is_named = |person: &Person| person.name == part[..end] && !person.left;
            if let Some(person) = self.people.iter().position(is_named)
                && !people.contains(&person)
                && people.len() < 30
            {
                people.push(person);
            }
        }
        if self.bug == Bug::MentionLeftOut && people.len() > 1 {
            people.pop();
        }
        people
    }

    fn find(&self, id: &str) -> Result<usize, u16> {
        self.posts.iter().position(|post| post.id == id && !self.is_gone(post)).ok_or(NOT_FOUND)
    }

    fn person(&self, id: &str) -> Result<usize, u16> {
        self.people.iter().position(|person| person.id == id && !person.left).ok_or(NOT_FOUND)
    }

    /// An id and a time. Some things happen at the same time, and ids do not grow with time.
    fn mint(&mut self) -> (String, String) {
        self.clock += 1;
        let id = self.clock.wrapping_mul(0x9E37_79B9_7F4A_7C15) & 0xFFFF_FFFF_FFFF;
        let at = self.clock / 4;
        (
            format!("00000000-0000-4000-8000-{id:012x}"),
            format!("2026-01-01T00:00:{:02}.{:06}Z", at / 1_000_000, at % 1_000_000),
        )
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// What NFKC and lower-case make of the few words that are used here.
fn folded(tag: &str) -> String {
    let narrow = |c: char| match c {
        '！'..='～' => char::from_u32(c as u32 - 0xFEE0).unwrap(),
        c => c,
    };
    tag.replace('ﬁ', "fi").chars().map(narrow).collect::<String>().to_lowercase()
}
