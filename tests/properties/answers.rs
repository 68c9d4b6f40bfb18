//! Every question that can be put to the read models, with its whole answer.

mod views;

use crate::history::{
    CLAIMS, COMMENTS, POSTS, SAGAS, SESSIONS, TAGS, USERS, claim, comment, hashtag, owner_of, post, saga, session, user,
};
use crate::log::MemoryKeys;
use events::{Claimed, CommentId, PostId, Role, SagaId, SessionId, Timestamp, UserId};
use projections::notifications::{Deed, Notification};
use projections::posts::Traces;
use projections::sagas::{SagaFilter, SagaStatus, SagaSummary};
use projections::sessions::{OpenSession, SessionState};
use projections::users::{Credentials, Follow, Related};
use projections::{
    Feed, Hidden, Listing, MemoryFeed, MemoryNotifications, MemoryPosts, MemorySagas, MemorySessions, MemoryUsers,
    Notifications, Page, Place, Posts, ReadModel, Sagas, Sessions, Text, Users, users,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;
pub(crate) use views::View;

/// Where an open saga can stand.
pub(crate) const STATUSES: [SagaStatus; 3] =
    [SagaStatus::Running, SagaStatus::Compensating, SagaStatus::CompensationFailed];

/// From when on it is counted what people have to do with each other: from the beginning, and from some moments later.
pub(crate) const SINCE: [Timestamp; 3] = [Timestamp(i64::MIN), Timestamp(2_400_000_001), Timestamp(9_600_000_000)];

/// The read models. Some may live elsewhere; what cannot be asked fails the test.
#[derive(Clone)]
pub(crate) struct Models {
    pub(crate) users: Arc<dyn Users>,
    pub(crate) posts: Arc<dyn Posts>,
    pub(crate) sessions: Arc<dyn Sessions>,
    pub(crate) feed: Arc<dyn Feed>,
    pub(crate) sagas: Arc<dyn Sagas>,
    pub(crate) notifications: Arc<dyn Notifications>,
    /// Answers nothing; it is looked at where it is.
    pub(crate) saga_keys: Option<Arc<dyn ReadModel>>,
}

impl Default for Models {
    /// Empty ones, in memory.
    fn default() -> Self {
        let posts = Arc::<MemoryPosts>::default();
        let users = Arc::<MemoryUsers>::default();
        let sessions = Arc::<MemorySessions>::default();
        let sagas = Arc::<MemorySagas>::default();
        let feed = Arc::<MemoryFeed>::default();
        let notifications = Arc::new(MemoryNotifications::new(Arc::new(MemoryKeys::default())));
        Self { users, posts, sessions, feed, sagas, notifications, saga_keys: None }
    }
}

#[derive(Default, PartialEq, Debug)]
pub(crate) struct Answers {
    pub(crate) profiles: BTreeMap<UserId, ProfileAnswer>,
    /// User, hash and how many hashes there were, by number of the claim.
    pub(crate) credentials: BTreeMap<u8, (UserId, String, u64)>,
    pub(crate) usernames: BTreeMap<u8, UserId>,
    pub(crate) followers: BTreeMap<UserId, Vec<(Timestamp, UserId)>>,
    pub(crate) following: BTreeMap<UserId, Vec<(Timestamp, UserId)>>,
    pub(crate) views: BTreeMap<UserId, View>,
    pub(crate) posts: BTreeMap<PostId, PostAnswer>,
    pub(crate) latest: Vec<PostId>,
    pub(crate) latest_of: BTreeMap<UserId, Vec<PostId>>,
    pub(crate) tagged: BTreeMap<String, Vec<PostId>>,
    /// Number, text, hashtags and time, for the author.
    pub(crate) versions: BTreeMap<PostId, Vec<VersionAnswer>>,
    /// Likes and comments of one with posts of another, for each of [`SINCE`].
    pub(crate) acts: BTreeMap<(UserId, UserId), Vec<(usize, usize)>>,
    pub(crate) comments: BTreeMap<PostId, Vec<CommentAnswer>>,
    pub(crate) likes: BTreeMap<PostId, Vec<(Timestamp, UserId)>>,
    pub(crate) liked: BTreeMap<UserId, Vec<PostId>>,
    pub(crate) sessions: BTreeMap<SessionId, SessionState>,
    pub(crate) open_sessions: BTreeMap<UserId, Vec<SessionAnswer>>,
    pub(crate) feeds: BTreeMap<UserId, Vec<PostId>>,
    pub(crate) notifications: BTreeMap<UserId, Vec<NotificationAnswer>>,
    /// Whose, since when, and what they say.
    pub(crate) drafts: BTreeMap<PostId, (UserId, Timestamp, String)>,
    /// In the order of the ids.
    pub(crate) traces: BTreeMap<UserId, Traces>,
    pub(crate) standings: BTreeMap<UserId, Standing>,
    pub(crate) sagas: BTreeMap<SagaId, SagaAnswer>,
    pub(crate) open_sagas: Vec<SagaId>,
    pub(crate) ended_sagas: Vec<SagaId>,
    /// The open ones, for each of [`STATUSES`].
    pub(crate) sagas_by_status: Vec<Vec<SagaId>>,
    /// Process, status, how many, and when the oldest began.
    pub(crate) tallies: Vec<(String, String, usize, Option<Timestamp>)>,
    pub(crate) concerning: BTreeMap<UserId, Vec<SagaId>>,
}

/// What a deletion and a permission ask of an account.
#[derive(PartialEq, Debug)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    pub(crate) is_disabled: bool,
    pub(crate) holds: bool,
    pub(crate) claims: Option<(Claimed, Claimed)>,
    pub(crate) related: Related,
}

#[derive(PartialEq, Debug, Default)]
pub(crate) struct SagaAnswer {
    pub(crate) process: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) failure: Option<String>,
    pub(crate) started_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) progressed_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    /// Name, phase, attempts, parts, next attempt.
    pub(crate) steps: Vec<(String, String, u32, u32, Timestamp)>,
    pub(crate) history: Vec<(Timestamp, String)>,
    pub(crate) remaining: Vec<String>,
    /// Step, whether it is undone, and what came of its last attempt.
    pub(crate) waiting: Vec<(String, bool, Option<String>)>,
}

#[derive(PartialEq, Debug)]
pub(crate) struct ProfileAnswer {
    pub(crate) email: String,
    pub(crate) username: String,
    pub(crate) bio: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) followers: usize,
    pub(crate) following: usize,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct PostAnswer {
    pub(crate) author: UserId,
    pub(crate) content: String,
    pub(crate) hashtags: Vec<String>,
    pub(crate) mentions: Vec<UserId>,
    pub(crate) created_at: Timestamp,
    pub(crate) edited_at: Option<Timestamp>,
    pub(crate) likes: usize,
    pub(crate) comments: usize,
}

/// When it was opened, which, when it was refreshed last, and the device.
pub(crate) type SessionAnswer = (Timestamp, SessionId, Timestamp, Option<String>);

pub(crate) type VersionAnswer = (u64, String, Vec<String>, Timestamp);

/// When it was done, by whom, and what. Those of one time are in no order here: that is by ids, which are nobody's to know.
pub(crate) type NotificationAnswer = (Timestamp, UserId, Deed);

pub(crate) type CommentAnswer = (Timestamp, CommentId, UserId, String);

impl Answers {
    /// Fails with the lines that differ.
    pub(crate) fn check(&self, expected: &Self) {
        if self != expected {
            let (is, should_be) = (format!("{self:#?}"), format!("{expected:#?}"));
            let lines = is.lines().zip(should_be.lines()).filter(|(is, should_be)| is != should_be).take(8);
            panic!("(is, should be): {:#?}", lines.collect::<Vec<_>>());
        }
    }
}

impl Models {
    pub(crate) fn all(&self) -> Vec<Arc<dyn ReadModel>> {
        let answering = [
            Arc::clone(&self.users) as _,
            Arc::clone(&self.posts) as _,
            Arc::clone(&self.sessions) as _,
            Arc::clone(&self.feed) as _,
            Arc::clone(&self.sagas) as _,
            Arc::clone(&self.notifications) as _,
        ];
        answering.into_iter().chain(self.saga_keys.clone()).collect()
    }

    /// All answers; lists are walked in pages of `limit`.
    pub(crate) async fn answers(&self, limit: usize) -> Answers {
        let mut all = Answers { latest: self.posts_of(None, limit).await, ..Answers::default() };
        for user in (0..USERS).map(user) {
            self.answers_on_user(user, limit, &mut all).await;
        }
        for n in 0..CLAIMS {
            if let Some(credentials) = self.users.credentials(claim(n)).await.unwrap() {
                assert_eq!(self.users.credentials_of(credentials.user).await.unwrap().as_ref(), Some(&credentials));
                let Credentials { user, password, version } = credentials;
                all.credentials.insert(n, (user, password.as_str().to_owned(), version));
            }
            all.usernames.extend(self.users.by_username(claim(n)).await.unwrap().map(|user| (n, user)));
        }
        for post in (0..POSTS).map(post) {
            self.answers_on_post(post, limit, &mut all).await;
        }
        for tag in (0..TAGS).map(hashtag) {
            let tagged = async |page| self.posts.tagged(&tag, page, &Hidden::NOBODY).await.unwrap();
            let posts = walk(limit, tagged, |post| (post.created_at, post.id.0)).await;
            all.tagged.insert(tag, posts.into_iter().map(|post| post.id).collect());
        }
        self.answers_on_sagas(limit, &mut all).await;
        for session in (0..SESSIONS).map(session) {
            all.sessions.insert(session, self.sessions.state(session, owner_of(session)).await.unwrap());
        }
        all
    }

    async fn answers_on_user(&self, id: UserId, limit: usize, all: &mut Answers) {
        if let Some(profile) = self.users.profile(id).await.unwrap() {
            let authors = self.users.authors(&[id]).await.unwrap();
            assert_eq!((authors[0].id, &authors[0].username), (id, &profile.username));
            let answer = ProfileAnswer {
                email: profile.email.to_string(),
                username: profile.username.to_string(),
                bio: profile.bio.map(|bio| bio.to_string()),
                created_at: profile.created_at,
                followers: profile.follower_count,
                following: profile.following_count,
            };
            all.profiles.insert(id, answer);
        } else {
            assert!(self.users.authors(&[id]).await.unwrap().is_empty());
        }
        let place = |follow: &Follow| (follow.created_at, follow.user.0);
        let entry = |follow: Follow| (follow.created_at, follow.user);
        let followers = walk(
            limit,
            async |page| self.users.list(users::List::Followers, id, page, &Hidden::NOBODY).await.unwrap(),
            place,
        )
        .await;
        let following = walk(
            limit,
            async |page| self.users.list(users::List::Following, id, page, &Hidden::NOBODY).await.unwrap(),
            place,
        )
        .await;
        all.followers.insert(id, followers.into_iter().map(entry).collect());
        all.following.insert(id, following.into_iter().map(entry).collect());
        for other in (0..USERS).map(user) {
            for since in SINCE {
                let acts = self.posts.acts(id, &[other], since, 1_000).await.unwrap()[0];
                all.acts.entry((id, other)).or_default().push(acts);
            }
        }
        all.views.insert(id, self.view(id, limit).await);
        let posts = self.posts_of(Some(id), limit).await;
        assert_eq!(self.posts.counts_of(&[id]).await, Ok(vec![posts.len()]));
        all.latest_of.insert(id, posts);
        all.feeds.insert(id, self.feed_of(id, limit, &Hidden::NOBODY).await);
        all.notifications.insert(id, self.notifications_of(id, limit, &Hidden::NOBODY).await);
        let posts = (0..POSTS).map(post).collect::<Vec<_>>();
        let liked = self.posts.liked(id, &posts).await.unwrap().into_iter().zip(posts);
        all.liked.insert(id, liked.filter(|(liked, _)| *liked).map(|(_, post)| post).collect());
        let sessions = async |page| self.sessions.of(id, Timestamp(0), page).await.unwrap();
        let sessions = walk(limit, sessions, |it| (it.created_at, it.id.0)).await;
        if !sessions.is_empty() {
            let device = |device: Option<Text>| device.map(|device| device.to_string());
            let answer = |it: OpenSession| (it.created_at, it.id, it.refreshed_at, device(it.device));
            all.open_sessions.insert(id, sessions.into_iter().map(answer).collect());
        }
        let mut traces = self.posts.traces(id, 1_000).await.unwrap();
        assert_eq!(self.posts.holds_trace(id).await, Ok(!traces.is_empty()));
        traces.posts.sort();
        traces.comments.sort();
        traces.likes.sort();
        traces.drafts.sort();
        all.traces.insert(id, traces);
        let standing = Standing {
            role: self.users.role(id).await.unwrap(),
            is_disabled: self.users.is_disabled(id).await.unwrap(),
            holds: self.users.holds(id).await.unwrap(),
            claims: self.users.claims(id).await.unwrap().map(|claims| (claims.email, claims.username)),
            related: self.users.related(id, 1_000).await.unwrap(),
        };
        all.standings.insert(id, standing);
    }

    /// What the feed knows of a post is not shown; where the posts are behind, or the reader's own post may still stand
    /// there as a draft, no place can be compared.
    async fn feed_of(&self, reader: UserId, limit: usize, hidden: &Hidden) -> Vec<PostId> {
        let ids = (0..POSTS).map(post).collect::<Vec<_>>();
        let posts = self.posts.posts(&ids, None).await.unwrap().into_iter().filter(|post| post.author != reader);
        let places = posts.map(|post| (post.id, (post.created_at, post.id.0))).collect::<BTreeMap<_, _>>();
        let place = |post: &PostId| places.get(post).copied().unwrap_or_default();
        walk(limit, async |page| self.feed.latest(reader, page, hidden).await.unwrap(), place).await
    }

    async fn notifications_of(&self, id: UserId, limit: usize, hidden: &Hidden) -> Vec<NotificationAnswer> {
        let unread = self.notifications.unread(id, hidden).await.unwrap();
        let page = async |page| {
            let (listing, beside) = self.notifications.list(id, page, hidden).await.unwrap();
            assert_eq!(beside, unread, "it is counted beside the list as it is alone");
            listing
        };
        let walked = walk(limit, page, Notification::place).await;
        assert!(walked.iter().map(Notification::place).is_sorted_by(|one, other| one > other), "newest first");
        assert_eq!(walked.iter().filter(|it| !it.is_read).count(), unread, "as many are listed as are counted");
        let mut answers = walked.iter().map(|it| (it.created_at, it.actor, it.deed)).collect::<Vec<_>>();
        answers.sort_by_key(|it| Reverse(*it));
        answers
    }

    async fn answers_on_sagas(&self, limit: usize, all: &mut Answers) {
        for id in (0..SAGAS).map(saga) {
            let Some(saga) = self.sagas.saga(id).await.unwrap() else { continue };
            let SagaSummary { remaining, waiting, .. } = SagaSummary::of(&saga);
            let waiting = waiting
                .into_iter()
                .map(|it| (it.step.to_string(), it.compensation, it.error.as_deref().map(str::to_owned)));
            let step = |step: &projections::sagas::StepView| {
                (step.name.to_string(), format!("{:?}", step.phase), step.attempts, step.parts, step.due)
            };
            let answer = SagaAnswer {
                process: saga.process.to_string(),
                status: saga.status.to_string(),
                reason: saga.reason.as_deref().map(str::to_owned),
                failure: saga.failure.as_deref().map(str::to_owned),
                started_at: saga.started_at,
                updated_at: saga.updated_at,
                progressed_at: saga.progressed_at,
                ended_at: saga.ended_at,
                steps: saga.steps.iter().map(step).collect(),
                history: saga.history.iter().map(|happened| (happened.at, happened.event.to_string())).collect(),
                remaining: remaining.iter().map(|step| step.to_string()).collect(),
                waiting: waiting.collect(),
            };
            all.sagas.insert(id, answer);
        }
        let open = SagaFilter { open: Some(true), ..SagaFilter::default() };
        let list = async |filter: &SagaFilter| {
            let sagas = async |page| self.sagas.list(filter, page).await.unwrap();
            let sagas = walk(limit, sagas, |saga| (saga.started_at, saga.id.0)).await;
            sagas.into_iter().map(|saga| saga.id).collect::<Vec<_>>()
        };
        all.open_sagas = list(&open).await;
        for status in STATUSES {
            all.sagas_by_status.push(list(&SagaFilter { status: Some(status), ..open.clone() }).await);
        }
        all.ended_sagas = list(&SagaFilter { open: Some(false), ..SagaFilter::default() }).await;
        let tallies = self.sagas.tallies().await.unwrap().into_iter();
        let tally =
            |it: projections::sagas::Tally| (it.process.to_string(), it.status.to_string(), it.count, it.oldest);
        all.tallies = tallies.map(tally).collect();
        all.tallies.sort();
        for user in (0..USERS).map(user) {
            all.concerning.insert(user, self.sagas.concerning(user).await.unwrap());
        }
    }

    async fn posts_of(&self, author: Option<UserId>, limit: usize) -> Vec<PostId> {
        let latest = async |page| self.posts.latest(author, page, &Hidden::NOBODY).await.unwrap();
        let walked = walk(limit, latest, |post| (post.created_at, post.id.0)).await;
        let ids = walked.iter().map(|post| post.id).collect::<Vec<_>>();
        assert_eq!(self.posts.posts(&ids, None).await, Ok(walked));
        ids
    }

    async fn answers_on_post(&self, id: PostId, limit: usize, all: &mut Answers) {
        let comments = async |page| self.posts.comments(id, page, &Hidden::NOBODY).await.unwrap();
        let comments = walk(limit, comments, |it| (it.created_at, it.id.0)).await;
        for n in 0..COMMENTS {
            let one = comments.iter().find(|it| it.id == comment(n));
            assert_eq!(self.posts.comment(id, comment(n)).await.unwrap().as_ref(), one);
        }
        let comment = |it: projections::posts::Comment| (it.created_at, it.id, it.author, it.text.to_string());
        all.comments.insert(id, comments.into_iter().map(comment).collect());
        let likes = async |page| self.posts.likes(id, page, &Hidden::NOBODY).await.unwrap();
        let likes = walk(limit, likes, |like| (like.created_at, like.user.0)).await;
        all.likes.insert(id, likes.into_iter().map(|like| (like.created_at, like.user)).collect());
        for viewer in (0..USERS).map(user) {
            let place = |it: &projections::posts::Version| (it.created_at, Uuid::from_u128(it.number.into()));
            let versions = async |page| self.posts.versions(id, viewer, page).await.unwrap();
            let versions = walk(limit, versions, place).await;
            let version = |it: projections::posts::Version| {
                let hashtags = it.hashtags.iter().map(|tag| tag.to_string()).collect();
                (it.number, it.content.to_string(), hashtags, it.created_at)
            };
            let seen = self.posts.post(id, Some(viewer)).await.unwrap();
            if let Some(newest) = versions.first() {
                let post = seen.as_ref().unwrap();
                assert_eq!((post.author, post.version, &post.content), (viewer, newest.number, &newest.content));
                all.versions.insert(id, versions.into_iter().map(version).collect());
            }
            if let Some(post) = seen.filter(|post| post.draft) {
                assert_eq!(post.author, viewer, "nobody but its author sees a draft");
                all.drafts.insert(id, (viewer, post.created_at, post.content.to_string()));
            }
        }
        let Some(post) = self.posts.post(id, None).await.unwrap() else { return };
        let answer = PostAnswer {
            author: post.author,
            content: post.content.to_string(),
            hashtags: post.hashtags.iter().map(|tag| tag.to_string()).collect(),
            mentions: post.mentions.to_vec(),
            created_at: post.created_at,
            edited_at: post.edited_at,
            likes: post.likes_count,
            comments: post.comments_count,
        };
        all.posts.insert(id, answer);
    }

    /// At every moment a list has as many entries as its count says.
    pub(crate) async fn check_counts(&self) {
        let all = self.answers(2).await;
        for (user, profile) in &all.profiles {
            assert_eq!(profile.followers, all.followers[user].len(), "followers of {user}");
            assert_eq!(profile.following, all.following[user].len(), "followed by {user}");
        }
        for (post, answer) in &all.posts {
            assert_eq!(answer.likes, all.likes[post].len(), "likes of {post}");
            assert_eq!(answer.comments, all.comments[post].len(), "comments of {post}");
        }
    }
}

/// The whole list. Every page but the last is full, and the last one says so.
async fn walk<T>(limit: usize, list: impl AsyncFn(Page) -> Listing<T>, place: impl Fn(&T) -> Place) -> Vec<T> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let Listing { items, next } = list(Page { limit, after }).await;
        let last = items.last().map(&place);
        assert!(items.len() == limit || next.is_none(), "only the last page is short");
        assert!(!items.is_empty() || after.is_none(), "the page before said that there was more");
        all.extend(items);
        assert!(all.len() <= 1_000, "the list does not end");
        if next.is_none() {
            return all;
        }
        assert!(next == last || last == Some(Place::default()), "a page goes on where the one before ended");
        after = next;
    }
}
