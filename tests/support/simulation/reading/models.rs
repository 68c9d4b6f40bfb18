//! The read models of a simulation, and what can be read in them.

use super::super::MemoryKeyring;
use commands::{Command, CommentCommand, LikeCommand, PostCommand, SessionCommand};
use events::{CommentId, Digest, PostId, SessionId, UserId};
use futures::FutureExt;
use gateway::Footprint;
use projections::sagas::{SagaFilter, SagaSummary};
use projections::sessions::SessionState;
use projections::users::Claims;
use projections::{
    Feed, Hidden, MemoryFeed, MemoryNotifications, MemoryPosts, MemorySagas, MemorySessions, MemoryUsers,
    Notifications, Page, Posts, ReadModel, Sagas, Sessions, Unavailable, Users, feed, notifications, posts, sagas,
    sessions, users,
};
use std::sync::Arc;

/// More than any list has.
const ALL: usize = 10_000;

/// What is there or not, and can be read.
#[derive(Clone, Copy, Debug)]
pub enum Thing {
    /// That this user likes this post.
    Like(PostId, UserId),
    /// A post.
    Post(PostId),
    /// A post, or a draft of one, as its author sees it.
    Draft(PostId, UserId),
    /// A comment under a post.
    Comment(PostId, CommentId),
    /// An open session.
    Session(SessionId),
    /// That somebody is found by this name.
    Name(UserId, Digest),
}

impl Thing {
    /// What a command is about, if that is something that is there or not.
    pub fn of(command: &Command) -> Option<Self> {
        match command {
            Command::Like(LikeCommand::Add { post, user } | LikeCommand::Remove { post, user }) => {
                Some(Self::Like(*post, *user))
            }
            Command::Post(PostCommand::Delete { post, .. }) => Some(Self::Post(*post)),
            Command::Comment(
                CommentCommand::Add { post, comment, .. } | CommentCommand::Delete { post, comment, .. },
            ) => Some(Self::Comment(*post, *comment)),
            Command::Session(SessionCommand::Open { session, .. } | SessionCommand::Close { session, .. }) => {
                Some(Self::Session(*session))
            }
            _ => None,
        }
    }

    /// The read model that shows it.
    pub fn model(self) -> &'static str {
        match self {
            Self::Like(..) | Self::Post(_) | Self::Draft(..) | Self::Comment(..) => "posts",
            Self::Session(_) => "sessions",
            Self::Name(..) => "users",
        }
    }
}

/// The read models of one build.
#[derive(Clone)]
pub struct Models {
    users: Arc<MemoryUsers>,
    posts: Arc<MemoryPosts>,
    sessions: Arc<MemorySessions>,
    feed: Arc<MemoryFeed>,
    sagas: Arc<MemorySagas>,
    notifications: Arc<MemoryNotifications>,
}

impl Models {
    /// The names of all read models.
    pub(super) const NAMES: [&str; 6] =
        [users::NAME, posts::NAME, sessions::NAME, feed::NAME, sagas::NAME, notifications::NAME];

    /// Empty ones.
    pub(super) fn of(generation: u64, keyring: &Arc<MemoryKeyring>) -> Self {
        Self {
            users: Arc::new(MemoryUsers::with_generation(generation)),
            posts: Arc::new(MemoryPosts::with_generation(generation)),
            sessions: Arc::new(MemorySessions::with_generation(generation)),
            feed: Arc::new(MemoryFeed::with_generation(generation)),
            sagas: Arc::new(MemorySagas::with_generation(generation)),
            notifications: Arc::new(MemoryNotifications::with_generation(generation, keyring.clone())),
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<dyn ReadModel>> {
        let Self { users, posts, sessions, feed, sagas, notifications } = self.clone();
        vec![users, posts, sessions, feed, sagas, notifications]
    }

    /// Whether it can be read.
    pub fn show(&self, thing: Thing) -> bool {
        match thing {
            Thing::Like(post, user) => answer(self.posts.liked(user, &[post]))[0],
            Thing::Post(post) => answer(self.posts.post(post, None)).is_some(),
            Thing::Draft(post, author) => answer(self.posts.post(post, Some(author))).is_some(),
            Thing::Comment(post, comment) => answer(self.posts.comment(post, comment)).is_some(),
            Thing::Name(user, claim) => answer(self.users.by_username(claim)) == Some(user),
            Thing::Session(session) => matches!(self.session(session), SessionState::Open { .. }),
        }
    }

    /// Every saga in short, as text.
    pub(super) fn sagas_as_text(&self) -> Vec<String> {
        let sagas = self.sagas(&SagaFilter::default(), Page { limit: ALL, after: None });
        sagas.iter().map(|saga| format!("{saga:?}")).collect()
    }

    /// What somebody claims.
    pub fn claims(&self, user: UserId) -> Option<Claims> {
        answer(self.users.claims(user))
    }

    /// The sagas that the filter names.
    pub fn sagas(&self, filter: &SagaFilter, page: Page) -> Vec<SagaSummary> {
        answer(self.sagas.list(filter, page)).items
    }

    /// What is known of a session.
    pub fn session(&self, session: SessionId) -> SessionState {
        // In memory it does not matter whose it is said to be.
        answer(self.sessions.state(session, UserId::default()))
    }

    /// Whether somebody has an account.
    pub fn has_account(&self, user: UserId) -> bool {
        answer(self.users.holds(user))
    }

    /// Whether one of the two blocks the other.
    pub fn are_apart(&self, one: UserId, other: UserId) -> bool {
        answer(self.users.hidden_from(one)).hides(other)
    }

    /// Where effects look for what is left of somebody.
    pub(super) fn footprint(&self) -> Footprint {
        let Self { users, posts, sagas, .. } = self.clone();
        Footprint { users, posts, sagas }
    }

    /// All that can be read about these but sagas, and all that deletions look for: two equal texts are two equal read
    /// models.
    pub(super) fn as_text(&self, of: &Shown) -> Vec<String> {
        let mut lines = self.shown(of);
        for user in &of.users {
            lines.push(format!("{:?} {:?}", answer(self.users.claims(*user)), answer(self.users.related(*user, ALL))));
            lines.push(format!("{:?}", answer(self.posts.traces(*user, ALL))));
        }
        lines
    }

    /// What anybody can read that names somebody, who must be seen no more.
    pub fn shown_of(&self, user: UserId, of: &Shown) -> Vec<String> {
        naming(user, self.shown(of))
    }

    /// What is kept that names somebody of whom nothing must be left.
    pub(super) fn traces_of(&self, user: UserId, of: &Shown) -> Vec<String> {
        naming(user, self.as_text(of))
    }

    fn shown(&self, Shown { users, posts, sessions }: &Shown) -> Vec<String> {
        let page = || Page { limit: ALL, after: None };
        let all = &Hidden::NOBODY;
        let mut lines = vec![format!("{:?}", answer(self.posts.latest(None, page(), all)))];
        for user in users {
            lines.push(format!("{:?}", answer(self.users.profile(*user))));
            lines.push(format!("{:?}", answer(self.users.list(users::List::Followers, *user, page(), all))));
            lines.push(format!("{:?}", answer(self.users.list(users::List::Following, *user, page(), all))));
            lines.push(format!("{:?}", answer(self.users.list(users::List::Blocks, *user, page(), &Hidden::NOBODY))));
            lines.push(format!("{:?}", answer(self.users.list(users::List::Mutes, *user, page(), &Hidden::NOBODY))));
            let hidden = answer(self.users.hidden_from(*user));
            lines.push(format!("{:?}", answer(self.feed.latest(*user, page(), &hidden))));
            lines.push(format!("{:?}", answer(self.notifications.list(*user, page(), all))));
            lines.push(format!(
                "{:?} {}",
                answer(self.posts.latest(Some(*user), page(), all)),
                answer(self.posts.counts_of(&[*user]))[0]
            ));
        }
        for post in posts {
            lines.push(format!("{:?}", answer(self.posts.post(*post, None))));
            lines.push(format!("{:?}", answer(self.posts.comments(*post, page(), all))));
            lines.push(format!("{:?}", answer(self.posts.likes(*post, page(), all))));
        }
        lines.extend(sessions.iter().map(|session| format!("{session} {:?}", self.session(*session))));
        lines
    }
}

/// What a read model in memory answers.
fn answer<T>(asked: impl Future<Output = Result<T, Unavailable>>) -> T {
    asked.now_or_never().expect("in memory nothing waits").expect("and it is always there")
}

fn naming(user: UserId, lines: Vec<String>) -> Vec<String> {
    let name = user.to_string();
    let named = lines.into_iter().filter(|line| line.contains(&name));
    named.map(|line| format!("{user} is gone, but is read: {line}")).collect()
}

/// What can be looked at.
pub struct Shown {
    /// Everybody who ever had an account.
    pub users: Vec<UserId>,
    /// Posts, dropped and deleted ones too.
    pub posts: Vec<PostId>,
    /// Sessions.
    pub sessions: Vec<SessionId>,
}
