//! One simulation: clients that ask for things at random, and a fate that breaks things at random.

use super::check::{self, Asked, Seen};
use super::fate;
use super::history::Recorder;
use super::log::LogFaults;
use super::network::NetworkFaults;
use super::nodes::{Cluster, Node};
use super::reading::{StoreFaults, Thing};
use super::{Dice, Fault, MemoryKeyring, Network, Reading, SimulatedLog, Story, Swarm, judge};
use commands::{
    Answer, Clock, Command, CommentCommand, FollowCommand, LikeCommand, PostCommand, Request, Router, SagaCommand,
    SessionCommand, UserCommand,
};
use events::{
    Bio, CommandId, CommentId, CommentText, Content, Email, Fingerprint, Key, Keyring, PasswordHash, PostId, Retention,
    SagaId, Sealed, SessionId, Timestamp, UserId, Username,
};
use journal::{Partition, Rules, partition_of};
use parking_lot::Mutex;
use sagas::registration::RegistrationData;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What a simulation is made of.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// All chance comes from it.
    pub seed: u64,
    /// How many commands the clients ask for, sagas' steps not counted.
    pub commands: usize,
    /// The posts, users and so on that the clients choose from at least, whatever the seed says: few are hot.
    pub choice_min: usize,
    /// The rules that are kept.
    pub rules: Rules,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was promised and not kept; empty if all is well.
    pub violations: Vec<String>,
    /// How often each fault fired.
    pub faults: BTreeMap<Fault, usize>,
    /// How many commands the clients asked for.
    pub asked: usize,
    /// How many they were to ask for at least.
    pub wanted: usize,
    /// How many of them were accepted.
    pub accepted: usize,
    /// How many were refused or changed nothing.
    pub refused: usize,
    /// All that happened.
    pub lines: Vec<String>,
    /// What the clients asked and were told.
    pub history: Recorder,
    /// The commands of the requests that the network delivered twice.
    pub doubled: Vec<CommandId>,
}

/// Names that all registrations compete for.
const NAMES: usize = 7;
/// How often a client asks again before it gives up; far more than any seed needs.
const TRIES_MAX: usize = 200;

/// How long the storm lasts at most: past it nothing breaks any more, and whoever still waits must be served.
const STORM_MAX: Duration = Duration::from_secs(60);

/// Records of a partition, far more than any seed needs.
const RECORDS_MAX: u64 = 10_000;

/// How long a simulation may take by its own clock; they take seconds.
const WORLD_MAX: Duration = Duration::from_secs(600);

/// Runs the simulation of a seed on a clock of its own.
pub fn run(settings: Settings) -> Outcome {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread")
        // Inside, or the first instant would be the real clock's.
        .block_on(async move { World::new(settings).run().await })
}

/// Everything in one simulation.
#[derive(Clone)]
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) story: Story,
    pub(super) log: SimulatedLog,
    pub(super) network: Network,
    pub(super) swarm: Arc<Swarm>,
    pub(super) rules: Rules,
    pub(super) cluster: Cluster,
    pub(super) router: Router,
    pub(super) clock: Clock,
    /// How far the wall clock has jumped, in microseconds.
    pub(super) jumped: Arc<AtomicI64>,
    pub(super) keyring: Arc<MemoryKeyring>,
    pub(super) reading: Reading,
    pub(super) users: Arc<Mutex<Vec<UserId>>>,
    pub(super) posts: Arc<Mutex<Vec<PostId>>>,
    comments: Arc<Mutex<Vec<(PostId, CommentId)>>>,
    sessions: Arc<Mutex<Vec<(UserId, SessionId)>>>,
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
    pub(super) history: Recorder,
    /// What clients wanted under keys of their own, with the ids of all their tries.
    pub(super) wanted: Arc<Mutex<Vec<judge::Wanted>>>,
    /// The earliest and the latest that the wall clock has shown.
    pub(super) clock_range: Arc<Mutex<Option<(Timestamp, Timestamp)>>>,
    left: Arc<AtomicUsize>,
    wanted_commands: usize,
}

impl World {
    fn new(settings: Settings) -> Self {
        let dice = Dice::new(settings.seed);
        let story = Story::default();
        let mut swarm = Swarm::new(settings.seed);
        swarm.choice = swarm.choice.max(settings.choice_min);
        story.tell(format_args!("{swarm:?}"));
        let log =
            SimulatedLog::new(swarm.partitions, dice.clone(), story.clone(), swarm.log).with_rules(settings.rules);
        let network = Network::new(swarm.partitions, dice.clone(), story.clone(), swarm.network);
        // From half as many to half as many again.
        let wanted_commands = settings.commands / 2 + dice.below(settings.commands + 1);
        let jumped = Arc::new(AtomicI64::new(0));
        let clock = clock(Arc::clone(&jumped));
        let mut cluster =
            Cluster::new(Arc::new(log.clone()), network.clone(), Arc::clone(&clock), settings.rules, dice.clone());
        cluster.mailbox_max = swarm.mailbox_max;
        let router = cluster.router();
        let keyring = Arc::new(MemoryKeyring::default());
        let faults = StoreFaults::new(dice.clone(), story.clone(), settings.rules, swarm.stores);
        let reading = Reading::start(log.clone(), Arc::clone(&keyring), Arc::clone(&clock), Some(faults));
        Self {
            dice,
            story,
            log,
            network,
            swarm: Arc::new(swarm),
            rules: settings.rules,
            cluster,
            router,
            clock,
            jumped,
            keyring,
            reading,
            users: Arc::default(),
            posts: Arc::default(),
            comments: Arc::default(),
            sessions: Arc::default(),
            asked: Arc::default(),
            seen: Arc::default(),
            history: Recorder::default(),
            wanted: Arc::default(),
            clock_range: Arc::default(),
            left: Arc::new(AtomicUsize::new(wanted_commands)),
            wanted_commands,
        }
    }

    async fn run(self) -> Outcome {
        self.note_the_time();
        let mut nodes: Vec<Node> = (0..self.swarm.partitions).map(|n| self.cluster.start(Partition(n))).collect();
        let mut clients = tokio::task::JoinSet::new();
        for number in 0..self.swarm.registrations {
            clients.spawn(self.clone().register(number));
        }
        for _ in 0..self.swarm.clients {
            clients.spawn(self.clone().live());
            clients.spawn(self.clone().insist());
            clients.spawn(self.clone().walk_away());
        }
        let mut former = Vec::new();
        let give_up = Instant::now() + WORLD_MAX;
        let calm = Instant::now() + STORM_MAX;
        while !clients.is_empty() {
            if Instant::now() > give_up {
                let asked = Asked::violation(format!("the world did not end within {WORLD_MAX:?}"));
                self.asked.lock().push(asked);
                break;
            }
            tokio::select! {
                biased;
                Some(Err(panic)) = clients.join_next() => {
                    self.asked.lock().push(Asked::violation(format!("a client panicked: {panic}")));
                }
                () = sleep(self.swarm.calm(&self.dice)) => {
                    if Instant::now() < calm {
                        self.strike(&mut nodes, &mut former);
                    } else {
                        self.log.set_faults(LogFaults::NONE);
                        self.network.set_faults(NetworkFaults::NONE);
                    }
                }
            }
            self.tend(&mut nodes, &mut former);
            if let Some(partition) = self.runs_away() {
                // Whatever else is wrong: reading such a log over and over takes for ever.
                let what = format!("partition {partition} has more than {RECORDS_MAX} records: its owners fight");
                return Outcome { violations: vec![what], lines: self.story.lines(), ..Outcome::default() };
            }
        }
        self.tend(&mut nodes, &mut former);
        self.log.set_faults(LogFaults::NONE);
        self.network.set_faults(NetworkFaults::NONE);
        let mut violations = self.settle(&nodes).await;
        violations.extend(check::promises(&self).await);
        violations.extend(judge::violations(&self).await);
        violations.extend(fate::trespassers(&self).await);
        let (users, posts) = (self.users.lock().clone(), self.posts.lock().clone());
        let sessions = self.sessions.lock().iter().map(|(_, session)| *session).collect::<Vec<_>>();
        violations.extend(self.reading.compare(&users, &posts, &sessions).await);
        if violations.is_empty() {
            violations.extend(fate::cut_the_log(&self, &nodes, &former).await);
        }
        let asked = self.asked.lock();
        let answered = |wanted: fn(&Answer) -> bool| asked.iter().filter(|asked| wanted(&asked.answer)).count();
        Outcome {
            violations,
            faults: self.story.faults(),
            asked: asked.len(),
            wanted: self.wanted_commands,
            accepted: answered(|answer| matches!(answer, Answer::Accepted(_) | Answer::Ended(..))),
            refused: answered(|answer| matches!(answer, Answer::Refused(_) | Answer::Unchanged(_))),
            lines: self.story.lines(),
            history: self.history.clone(),
            doubled: self.network.doubled(),
        }
    }

    fn runs_away(&self) -> Option<Partition> {
        (0..self.swarm.partitions).map(Partition).find(|partition| self.log.landed(*partition) > RECORDS_MAX)
    }

    /// Something breaks.
    fn strike(&self, nodes: &mut [Node], former: &mut Vec<Node>) {
        let node = &mut nodes[self.dice.below(self.swarm.partitions as usize)];
        let partition = node.partition;
        match self.dice.below(12) {
            0 if self.swarm.has(Fault::OwnerCrash) => {
                self.story.fault(Fault::OwnerCrash, format_args!("partition {partition}"));
                node.task.abort();
                *node = self.cluster.start(partition);
            }
            1 | 2 if self.swarm.has(Fault::OwnerPause) => {
                let pause = self.dice.micros(20_000, 1_500_000);
                self.story.fault(Fault::OwnerPause, format_args!("partition {partition} for {pause:?}"));
                node.gate.close_until(Instant::now() + pause);
                former.push(std::mem::replace(node, self.cluster.start(partition)));
            }
            3 if self.swarm.has(Fault::TwoOwners) => {
                self.story.fault(Fault::TwoOwners, format_args!("partition {partition}"));
                former.push(std::mem::replace(node, self.cluster.start(partition)));
            }
            4 if self.dice.once_in(2) => {
                self.story.fault(Fault::ProjectionCrash, "");
                self.reading.crash();
            }
            4 => {
                let pause = self.dice.micros(1_000, 400_000);
                self.story.fault(Fault::Rebuild, format_args!("the workers of the build before pause for {pause:?}"));
                self.reading.rebuild(pause);
            }
            5 => {
                let pause = self.dice.micros(1_000, 400_000);
                self.story.fault(Fault::ProjectionPause, format_args!("for {pause:?}"));
                self.reading.pause(pause);
            }
            _ => self.strike_the_write_side(node, former),
        }
    }

    /// Waits, without faults, until every saga has ended; says which have not.
    async fn settle(&self, nodes: &[Node]) -> Vec<String> {
        let give_up = Instant::now() + Duration::from_secs(300);
        loop {
            sleep(Duration::from_millis(500)).await;
            let open = check::open_sagas(&self.log).await;
            if open.is_empty() {
                return Vec::new();
            }
            if let Some(node) = nodes.iter().find(|node| node.task.is_finished()) {
                return vec![format!("the owner of partition {} has ended by itself", node.partition)];
            }
            if Instant::now() > give_up {
                return open.into_iter().map(|saga| format!("saga {saga} is still open")).collect();
            }
        }
    }

    /// A person registers, under a name that others want too, and asks until there is an answer.
    async fn register(self, number: usize) {
        sleep(self.dice.micros(0, 1_500_000)).await;
        let (name, address) = (format!("name{}", number % NAMES), format!("{}@example.com", number % (NAMES + 4)));
        let (user, request) = self.registration(&name, &address).await;
        if let Answer::Ended(_, commands::Ended::Completed) = self.ask(request).await {
            self.users.lock().push(user);
        }
    }

    /// What a person who registers asks for.
    pub(super) async fn registration(&self, name: &str, address: &str) -> (UserId, Request) {
        let user = UserId(self.dice.uuid());
        let key = self.keyring.create(user.into()).await.expect("a fresh key");
        let secrets = self.keyring.secrets();
        let data = RegistrationData {
            user,
            email: Sealed::seal(&Email::parse(address).expect("an address"), &key),
            username: Sealed::seal(&Username::parse(name).expect("a name"), &key),
            password: Sealed::seal(&PasswordHash::new("$argon2id$".to_owned()), &key),
            email_claim: secrets.claim("email", address),
            username_claim: secrets.claim("username", name),
        };
        let saga = SagaId(self.dice.uuid());
        let mut request = self.request(
            Key::User(user),
            SagaCommand::Start { saga, data: data.into(), with: serde_json::Value::Null }.into(),
        );
        request.until_saga_ends = true;
        (user, request)
    }

    /// Asks for one thing after another until all commands of the simulation were asked for.
    async fn live(self) {
        sleep(self.dice.micros(20_000, 400_000)).await;
        loop {
            let Some((key, command)) = self.wish() else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
                return;
            }
            let request = self.request(key, command.clone());
            let answer = self.ask(request.clone()).await;
            if !fate::is_certain(&answer) {
                continue;
            }
            self.note(&command, &answer);
            self.look(&command, &answer).await;
            self.ask_again(request, &answer).await;
            sleep(self.dice.micros(100, 30_000)).await;
        }
    }

    /// Whoever was told that something took effect sees it.
    async fn look(&self, command: &Command, answer: &Answer) {
        let (Answer::Accepted(receipt), Some(thing)) = (answer, thing(command)) else { return };
        let position = receipt.position;
        let Some(there) = self.reading.see(thing.model(), position, |models| models.show(thing)).await else {
            let asked = Asked::violation(format!("{} never passed {position}", thing.model()));
            return self.asked.lock().push(asked);
        };
        self.seen.lock().push(Seen { position, to: self.log.landed(position.partition), thing, there });
    }

    /// Now and then the same request comes again, or its id for another one.
    async fn ask_again(&self, mut request: Request, first: &Answer) {
        if self.dice.once_in(20) {
            request.deadline = Instant::now() + Duration::from_secs(3);
            let again = self.ask(request).await;
            if let Answer::Accepted(first) | Answer::Repeated(first) = first
                && !matches!(&again, Answer::Repeated(same) if same == first)
                && fate::is_certain(&again)
            {
                let what = format!("accepted at {}, asked again: {again:?}", first.position);
                self.asked.lock().push(Asked::violation(what));
            }
        } else if self.dice.once_in(40) && matches!(first, Answer::Accepted(_)) {
            request.deadline = Instant::now() + Duration::from_secs(3);
            request.fingerprint = Some(Fingerprint([9; 16]));
            let again = self.ask(request).await;
            if fate::is_certain(&again) && again != Answer::Refused(commands::Refusal::KeyReused) {
                self.asked.lock().push(Asked::violation(format!("a reused key was answered {again:?}")));
            }
        }
    }

    pub(super) fn request(&self, key: Key, command: Command) -> Request {
        let id = CommandId(self.dice.uuid());
        let deadline = Instant::now() + Duration::from_secs(3);
        let mut request = Request::new(id, key, command, self.askers_time(), deadline);
        // Half of the ids are the gateway's own.
        if self.dice.once_in(2) {
            request.fingerprint = Some(Fingerprint([1; 16]));
            request.retention = Retention::Long;
        }
        request
    }

    /// Asks until there is an answer that is one.
    pub(super) async fn ask(&self, request: Request) -> Answer {
        let partition = partition_of(&request.key, self.swarm.partitions);
        let asked = self.history.asks(&request);
        for n in 0..TRIES_MAX {
            let mut attempt = request.clone();
            attempt.deadline = Instant::now() + Duration::from_secs(3);
            let from = self.log.landed(partition);
            let answer = self.router.submit(attempt.clone()).await;
            let to = self.log.landed(partition);
            self.story.tell(format_args!("{} {} -> {answer:?} [{from}, {to}]", request.id, request.key));
            // Told that nothing happened some leave it at that, and some ask again.
            let leaves = n == 0 && answer == Answer::Overloaded && self.dice.once_in(2);
            if fate::is_certain(&answer) || leaves || self.gives_up(&request, &answer) {
                if fate::is_certain(&answer) {
                    self.history.answered(asked, &answer);
                }
                self.asked.lock().push(Asked {
                    request: attempt,
                    partition,
                    from,
                    to,
                    answer: answer.clone(),
                    violation: None,
                });
                return answer;
            }
            sleep(self.dice.micros(1_000, 200_000)).await;
        }
        self.asked.lock().push(Asked::violation(format!("{} was never answered", request.id)));
        Answer::Unknown
    }

    /// What a client wants, over few users and posts, so that many want the same; `None` while nobody is registered.
    fn wish(&self) -> Option<(Key, Command)> {
        let users = self.users.lock();
        if users.is_empty() {
            return None;
        }
        let choice = &users[..users.len().min(self.swarm.choice)];
        let (user, other) = (*self.dice.one_of(choice), *self.dice.one_of(choice));
        drop(users);
        let key = self.keyring.key(user.into()).expect("nobody destroys keys");
        let post = {
            let posts = self.posts.lock();
            let choice = &posts[posts.len() - posts.len().min(self.swarm.choice)..];
            if choice.is_empty() { PostId(self.dice.uuid()) } else { *self.dice.one_of(choice) }
        };
        let text = format!("text {}", self.dice.below(1_000));
        let content = Sealed::seal(&Content::parse(&text).expect("short"), &key);
        let (on_user, on_post) = (Key::User(user), Key::Post(post));
        Some(match self.dice.below(100) {
            0..10 => {
                let post = PostId(self.dice.uuid());
                let publish = PostCommand::Publish { post, author: user, content, hashtags: None, mentions: None };
                (Key::Post(post), publish.into())
            }
            10..16 => (on_post, PostCommand::Edit { post, by: user, content, hashtags: None, mentions: None }.into()),
            16..20 => (on_post, PostCommand::Delete { post, by: user }.into()),
            20..40 => (on_post, LikeCommand::Add { post, user }.into()),
            40..60 => (on_post, LikeCommand::Remove { post, user }.into()),
            60..68 => {
                let text = Sealed::seal(&CommentText::parse(&text).expect("short"), &key);
                let comment = CommentId(self.dice.uuid());
                (on_post, CommentCommand::Add { comment, post, author: user, text }.into())
            }
            68..73 => {
                let comments = self.comments.lock();
                match comments.is_empty() {
                    true => (on_user, UserCommand::ChangeBio { user, bio: None }.into()),
                    false => {
                        let (post, comment) = *self.dice.one_of(&comments);
                        (Key::Post(post), CommentCommand::Delete { comment, post, by: user }.into())
                    }
                }
            }
            73..81 => (on_user, FollowCommand::Start { follower: user, followee: other }.into()),
            81..89 => (on_user, FollowCommand::End { follower: user, followee: other }.into()),
            89..93 => {
                let bio = Sealed::seal(&Bio::parse(&text).expect("short"), &key);
                (on_user, UserCommand::ChangeBio { user, bio: Some(bio) }.into())
            }
            93..97 => {
                let session = SessionId(self.dice.uuid());
                (on_user, SessionCommand::Open { session, user, credentials: 1 }.into())
            }
            _ => {
                let sessions = self.sessions.lock();
                let any = if sessions.is_empty() {
                    (user, SessionId(self.dice.uuid()))
                } else {
                    *self.dice.one_of(&sessions)
                };
                (Key::User(any.0), SessionCommand::Close { session: any.1, user: any.0 }.into())
            }
        })
    }

    fn note(&self, command: &Command, answer: &Answer) {
        if !matches!(answer, Answer::Accepted(_) | Answer::Repeated(_)) {
            return;
        }
        match command {
            Command::Post(PostCommand::Publish { post, .. }) => self.posts.lock().push(*post),
            Command::Comment(CommentCommand::Add { post, comment, .. }) => self.comments.lock().push((*post, *comment)),
            Command::Session(SessionCommand::Open { session, user, .. }) => {
                self.sessions.lock().push((*user, *session));
            }
            _ => {}
        }
    }
}

/// What a command is about, if that is something that is there or not.
fn thing(command: &Command) -> Option<Thing> {
    match command {
        Command::Like(LikeCommand::Add { post, user } | LikeCommand::Remove { post, user }) => {
            Some(Thing::Like(*post, *user))
        }
        Command::Post(PostCommand::Publish { post, .. } | PostCommand::Delete { post, .. }) => Some(Thing::Post(*post)),
        Command::Comment(CommentCommand::Add { post, comment, .. } | CommentCommand::Delete { post, comment, .. }) => {
            Some(Thing::Comment(*post, *comment))
        }
        Command::Session(SessionCommand::Open { session, .. } | SessionCommand::Close { session, .. }) => {
            Some(Thing::Session(*session))
        }
        _ => None,
    }
}

/// The simulated wall clock: the paused clock, from some day on, with its jumps.
fn clock(jumped: Arc<AtomicI64>) -> Clock {
    let begun = Instant::now();
    Arc::new(move || {
        let elapsed = i64::try_from(begun.elapsed().as_micros()).expect("short");
        Timestamp(1_700_000_000_000_000 + elapsed + jumped.load(Ordering::Relaxed))
    })
}
