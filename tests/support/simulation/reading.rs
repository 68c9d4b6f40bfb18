//! The read side of a simulated node: the real read models and runners, which crash and stand still.

mod stored;

use super::nodes::Gate;
use super::{MemoryKeyring, SimulatedLog};
use commands::{Clock, Command, CommentCommand, LikeCommand, PostCommand, SessionCommand};
use events::{CommentId, Digest, PostId, SessionId, UserId};
use futures::FutureExt;
use gateway::Footprint;
use journal::{Journal, JournalError, Partition, Position};
use parking_lot::Mutex;
use projections::sagas::{SagaFilter, SagaSummary};
use projections::sessions::SessionState;
use projections::users::Claims;
use projections::{Feed, Page, Posts, Projections, ProjectionsOptions, ReadModel, Sagas, Sessions, Stop, Users};
use std::sync::Arc;
use std::time::Duration;
use stored::{Slot, StoredModel};
pub use stored::{StoreFaults, StoreRates};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a read waits for what it must see; long enough for any pause.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Former runners that go on beside the present ones.
const FORMER_MAX: usize = 24;
/// More than any list has.
const ALL: usize = 10_000;
/// The names of all read models.
const MODELS: [&str; 5] = [Users::NAME, Posts::NAME, Sessions::NAME, Feed::NAME, Sagas::NAME];
/// How often operators look for parked keys at the end.
const RETRIES_MAX: usize = 200;

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
    users: Arc<Users>,
    posts: Arc<Posts>,
    sessions: Arc<Sessions>,
    feed: Arc<Feed>,
    sagas: Arc<Sagas>,
}

impl Models {
    fn of(generation: u64) -> Self {
        Self {
            users: Arc::new(Users::with_generation(generation)),
            posts: Arc::new(Posts::with_generation(generation)),
            sessions: Arc::new(Sessions::with_generation(generation)),
            feed: Arc::new(Feed::with_generation(generation)),
            sagas: Arc::new(Sagas::with_generation(generation)),
        }
    }

    fn all(&self) -> Vec<Arc<dyn ReadModel>> {
        vec![self.users.clone(), self.posts.clone(), self.sessions.clone(), self.feed.clone(), self.sagas.clone()]
    }

    /// Whether it can be read.
    pub fn show(&self, thing: Thing) -> bool {
        match thing {
            Thing::Like(post, user) => self.posts.liked(user, &[post])[0],
            Thing::Post(post) => self.posts.post(post, None).is_some(),
            Thing::Draft(post, author) => self.posts.post(post, Some(author)).is_some(),
            Thing::Comment(post, comment) => self.posts.comment(post, comment).is_some(),
            Thing::Name(user, claim) => self.users.by_username(claim) == Some(user),
            Thing::Session(session) => matches!(self.session(session), SessionState::Open { .. }),
        }
    }

    /// Every saga in short, as text.
    fn sagas_as_text(&self) -> Vec<String> {
        let sagas = self.sagas(&SagaFilter::default(), Page { limit: ALL, after: None });
        sagas.iter().map(|saga| format!("{saga:?}")).collect()
    }

    /// What somebody claims.
    pub fn claims(&self, user: UserId) -> Option<Claims> {
        self.users.claims(user)
    }

    /// The sagas that the filter names.
    pub fn sagas(&self, filter: &SagaFilter, page: Page) -> Vec<SagaSummary> {
        self.sagas.list(filter, page).items
    }

    /// What is known of a session.
    pub fn session(&self, session: SessionId) -> SessionState {
        self.sessions.state(session)
    }

    /// Whether somebody has an account.
    pub fn has_account(&self, user: UserId) -> bool {
        self.users.holds(user)
    }

    /// All that can be read about these but sagas, as text: two equal texts are two equal read models.
    fn dump(&self, Shown { users, posts, sessions }: &Shown<'_>) -> Vec<String> {
        let page = || Page { limit: ALL, after: None };
        let mut lines = vec![format!("{:?}", self.posts.latest(None, page()))];
        for user in *users {
            lines.push(format!("{:?}", self.users.profile(*user)));
            lines.push(format!("{:?}", self.users.followers(*user, page())));
            lines.push(format!("{:?}", self.users.following(*user, page())));
            lines.push(format!("{:?}", self.feed.latest(*user, page())));
            lines.push(format!("{:?} {}", self.posts.latest(Some(*user), page()), self.posts.count_of(*user)));
            lines.push(format!("{:?} {:?}", self.users.claims(*user), self.users.related(*user, ALL)));
            lines.push(format!("{:?}", self.posts.traces(*user, ALL)));
        }
        for post in *posts {
            lines.push(format!("{:?}", self.posts.post(*post, None)));
            lines.push(format!("{:?}", self.posts.comments(*post, page())));
            lines.push(format!("{:?}", self.posts.likes(*post, page())));
        }
        lines.extend(sessions.iter().map(|session| format!("{session} {:?}", self.sessions.state(*session))));
        lines
    }
}

/// What is compared.
pub struct Shown<'a> {
    /// Everybody who ever had an account.
    pub users: &'a [UserId],
    /// Posts, dropped and deleted ones too.
    pub posts: &'a [PostId],
    /// Sessions.
    pub sessions: &'a [SessionId],
}

/// A running runner.
struct Running {
    gate: Gate,
    task: JoinHandle<Result<(), Stop>>,
}

/// The read side; clones are the same one.
#[derive(Clone)]
pub struct Reading {
    log: SimulatedLog,
    keyring: Arc<MemoryKeyring>,
    clock: Clock,
    faults: Option<StoreFaults>,
    node: Arc<Mutex<Node>>,
    /// Ends of runners that should not have been.
    ends: Arc<Mutex<Vec<String>>>,
}

struct Node {
    generation: u64,
    models: Models,
    /// Where they are stored; the same places for every build.
    slots: Vec<Slot>,
    projections: Arc<Projections>,
    running: Vec<Running>,
    /// Runners that were replaced while they stood still.
    former: Vec<Running>,
}

impl Node {
    fn halt(&mut self) {
        self.running.iter().chain(&self.former).for_each(|runner| runner.task.abort());
    }
}

impl Reading {
    /// A read side that begins with nothing.
    pub fn start(log: SimulatedLog, keyring: Arc<MemoryKeyring>, clock: Clock, faults: Option<StoreFaults>) -> Self {
        let models = Models::of(0);
        let slots = models.all().into_iter().map(|model| Arc::new(Mutex::new(model))).collect();
        let node = Self::run(&log, &keyring, &clock, faults.as_ref(), (0, models, slots));
        Self { log, keyring, clock, faults, node: Arc::new(Mutex::new(node)), ends: Arc::default() }
    }

    fn run(
        log: &SimulatedLog,
        keyring: &Arc<MemoryKeyring>,
        clock: &Clock,
        faults: Option<&StoreFaults>,
        (generation, models, slots): (u64, Models, Vec<Slot>),
    ) -> Node {
        let stored = |slot: &Slot| match faults {
            Some(faults) => StoredModel::over(Arc::clone(slot), faults.clone()),
            None => Arc::clone(&slot.lock()),
        };
        let (projections, runners) = Projections::new(ProjectionsOptions {
            journal: Arc::new(log.clone()),
            keyring: keyring.clone(),
            models: slots.iter().map(stored).collect(),
            clock: Arc::clone(clock),
            rules: faults.map(StoreFaults::rules).unwrap_or_default(),
        });
        let running = runners.into_iter().map(|runner| {
            let gate = Gate::default();
            let task = tokio::spawn(gate.run(runner.run(CancellationToken::new())));
            Running { gate, task }
        });
        let (running, projections) = (running.collect(), Arc::new(projections));
        Node { generation, models, slots, projections, running, former: Vec::new() }
    }

    /// All runners are gone in the middle of what they did; others go on from what is stored.
    pub fn crash(&self) {
        let mut node = self.node.lock();
        node.halt();
        *node = self.run_again(&node, node.generation);
    }

    /// All runners stand still; others take over, and when the former ones wake up they must change nothing.
    pub fn pause(&self, pause: Duration) {
        let generation = self.node.lock().generation;
        self.take_over(generation, pause);
    }

    /// The stores are emptied and filled anew by another build, while the workers of the one before stand still; when
    /// those wake up they must change nothing.
    pub fn rebuild(&self, pause: Duration) {
        let generation = self.node.lock().generation + 1;
        self.take_over(generation, pause);
    }

    fn take_over(&self, generation: u64, pause: Duration) {
        let mut node = self.node.lock();
        let until = Instant::now() + pause;
        node.running.iter().for_each(|runner| runner.gate.close_until(until));
        let mut next = self.run_again(&node, generation);
        next.former = std::mem::take(&mut node.former);
        next.former.append(&mut node.running);
        while next.former.len() > FORMER_MAX {
            next.former.remove(0).task.abort();
        }
        *node = next;
    }

    /// Runners over the same places; over empty models if the generation is another one.
    fn run_again(&self, node: &Node, generation: u64) -> Node {
        let (mut models, slots) = (node.models.clone(), node.slots.clone());
        if generation != node.generation {
            models = Models::of(generation);
            models.all().into_iter().zip(&slots).for_each(|(model, slot)| *slot.lock() = model);
        }
        Self::run(&self.log, &self.keyring, &self.clock, self.faults.as_ref(), (generation, models, slots))
    }

    /// All runners are gone, and none goes on.
    pub fn halt(&self) {
        self.node.lock().halt();
    }

    /// Whether the runner of this partition has stopped because the log is not what it was. Asked for a while.
    pub async fn stops_as_diverged(&self, partition: Partition) -> bool {
        let give_up = Instant::now() + WAIT_MAX;
        while Instant::now() < give_up {
            let ended = {
                let mut node = self.node.lock();
                let runner = &mut node.running[partition.0 as usize];
                (&mut runner.task).now_or_never()
            };
            match ended {
                None => tokio::time::sleep(Duration::from_millis(50)).await,
                Some(Ok(Err(Stop::Log(JournalError::Diverged { .. })))) => return true,
                Some(_) => return false,
            }
        }
        false
    }

    /// Starts the runners again if one has stepped aside, as whoever supervises them would; notes any other end.
    fn tend(&self) {
        let mut node = self.node.lock();
        let mut stepped_aside = false;
        for runner in &mut node.running {
            match (&mut runner.task).now_or_never() {
                None => {}
                Some(Ok(Err(Stop::Fenced { .. }))) => stepped_aside = true,
                Some(other) => {
                    self.ends.lock().push(format!("a runner has ended by itself: {other:?}"));
                    stepped_aside = true;
                }
            }
        }
        drop(node);
        if stepped_aside {
            self.crash();
        }
    }

    /// The read models of the present build.
    pub fn models(&self) -> Models {
        self.node.lock().models.clone()
    }

    /// Where effects look for what is left of somebody, and how far that is.
    pub fn footprint(&self) -> (Arc<Projections>, Footprint) {
        let node = self.node.lock();
        let Models { users, posts, sagas, .. } = node.models.clone();
        (Arc::clone(&node.projections), Footprint { users, posts, sagas })
    }

    /// What those do who look after it: runners that have stepped aside are started again, and parked keys tried again.
    pub async fn look_after(&self) {
        self.tend();
        let projections = Arc::clone(&self.node.lock().projections);
        for parked in projections.parked() {
            // It may be rejected again, or its runner end in between; the next look shows it.
            let _ = projections.retry(parked.model, parked.key).await;
        }
    }

    /// What a read sees that must see this position; `None` if it had to give up waiting.
    pub async fn see<T>(&self, model: &str, position: Position, look: impl Fn(&Models) -> T) -> Option<T> {
        let give_up = Instant::now() + WAIT_MAX;
        while Instant::now() < give_up {
            let (models, projections) = {
                let node = self.node.lock();
                (node.models.clone(), Arc::clone(&node.projections))
            };
            // Asked anew each time rather than waited for: whom a watch wakes first is chance, and not the seed's.
            match projections.wait_for(&[model], &[position], Instant::now()).await {
                Ok(()) => return Some(look(&models)),
                Err(lag) => {
                    for parked in lag.parked {
                        let _ = projections.retry(parked.model, parked.key).await;
                    }
                }
            }
            self.tend();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        None
    }

    /// What operators do: every parked key is tried again until none is left, or they give up.
    async fn retry_parked(&self) {
        for _ in 0..RETRIES_MAX {
            self.look_after().await;
            if self.node.lock().projections.parked().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until everything is applied, then says what is wrong with the read models, if anything: they must be those
    /// of a fold without faults, and show nothing of the gone.
    pub async fn compare(&self, of: &Shown<'_>, gone: &[UserId]) -> Vec<String> {
        let mut wrong = self.ends.lock().clone();
        wrong.extend(self.faults.iter().flat_map(StoreFaults::violations));
        if !wrong.is_empty() {
            return wrong;
        }
        let clean = Self::start(self.log.clone(), Arc::clone(&self.keyring), Arc::clone(&self.clock), None);
        let (live, clean) = match (self.whole().await, clean.whole().await) {
            (Ok(live), Ok(clean)) => (live, clean),
            (Err(behind), _) | (_, Err(behind)) => return vec![behind],
        };
        let lines = live.dump(of);
        for user in gone {
            let name = user.to_string();
            let shown = lines.iter().filter(|line| line.contains(&name));
            wrong.extend(shown.map(|line| format!("{user} is gone, but is read: {line}")));
        }
        let differing = |(live, clean): (&String, &String)| {
            (live != clean).then(|| format!("read: {live}\nbut a clean fold says: {clean}"))
        };
        wrong.extend(lines.iter().zip(&clean.dump(of)).filter_map(differing));
        wrong.extend(live.sagas_as_text().iter().zip(&clean.sagas_as_text()).filter_map(differing));
        wrong
    }

    /// The read models once everything is applied, or what keeps them from it.
    async fn whole(&self) -> Result<Models, String> {
        self.retry_parked().await;
        for n in 0..self.log.partitions() {
            let offset = self.log.landed(Partition(n));
            let position = Position { partition: Partition(n), offset: offset.saturating_sub(1) };
            for model in MODELS {
                if self.see(model, position, |_| ()).await.is_none() {
                    return Err(format!("{model} never passed {position}"));
                }
            }
        }
        self.retry_parked().await;
        let node = self.node.lock();
        match node.projections.parked().first() {
            Some(parked) => Err(format!("left parked: {parked:?}")),
            None => Ok(node.models.clone()),
        }
    }
}
