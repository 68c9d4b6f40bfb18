//! One simulation: clients that ask for things at random, and a fate that breaks things at random.

use super::book::{Book, OpenSagas};
use super::check::{self, Asked, Seen};
use super::clients::{People, Wanted};
use super::effects::{EffectRates, Noted, WorldEffects};
use super::fate;
use super::history::Recorder;
use super::log::LogFaults;
use super::network::{LANDS_LATE_MAX, NetworkFaults, Sending};
use super::nodes::{Cluster, Node};
use super::reading::{Shown, StoreFaults};
use super::{Deed, Dice, Fault, MemoryKeyring, Network, Reading, SimulatedLog, Story, Swarm, judge};
use commands::{Answer, Clock, Effects, Router};
use events::{CommandId, CommentId, PostId, SessionId, Timestamp, UserId};
use journal::{Partition, Rules};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
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
    /// What people did, and how often.
    pub deeds: BTreeMap<Deed, usize>,
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
    pub doubled: BTreeSet<CommandId>,
    /// Those that certainly came too late.
    pub late: BTreeSet<Sending>,
}

/// How long a client waits for an answer before it asks again.
pub(super) const DEADLINE: Duration = Duration::from_secs(3);
/// How long whoever was let in may take to say what they want.
pub(super) const SAYS_WITHIN: Duration = Duration::from_secs(2);
/// How long after an account was disabled something of its owner's may still land.
const STRAGGLERS: Duration = Duration::from_secs(SAYS_WITHIN.as_secs() + DEADLINE.as_secs() + LANDS_LATE_MAX.as_secs());

/// How long the storm lasts at most: past it nothing breaks any more, and whoever still waits must be served.
pub(super) const STORM_MAX: Duration = Duration::from_secs(60);

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
    effects: Arc<WorldEffects>,
    pub(super) cluster: Cluster,
    pub(super) router: Router,
    pub(super) clock: Clock,
    /// How far the wall clock has jumped, in microseconds.
    pub(super) jumped: Arc<AtomicI64>,
    /// Until when nobody owns a partition whose owner stands still.
    pub(super) away: Arc<Mutex<BTreeMap<Partition, Instant>>>,
    pub(super) keyring: Arc<MemoryKeyring>,
    pub(super) reading: Reading,
    pub(super) people: People,
    pub(super) posts: Arc<Mutex<Vec<PostId>>>,
    pub(super) comments: Arc<Mutex<Vec<(PostId, CommentId)>>>,
    pub(super) sessions: Arc<Mutex<Vec<(UserId, SessionId)>>>,
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
    pub(super) history: Recorder,
    /// What clients wanted under keys of their own, with the ids of all their tries.
    pub(super) wanted: Arc<Mutex<Vec<Wanted>>>,
    /// The earliest and the latest that the wall clock has shown.
    pub(super) clock_range: Arc<Mutex<Option<(Timestamp, Timestamp)>>>,
    pub(super) left: Arc<AtomicUsize>,
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
        cluster.stragglers = STRAGGLERS;
        let router = cluster.router();
        let keyring = Arc::new(MemoryKeyring::default());
        let faults = StoreFaults::new(dice.clone(), story.clone(), settings.rules, swarm.stores);
        let reading = Reading::start(log.clone(), Arc::clone(&keyring), Arc::clone(&clock), Some(faults));
        let history = Recorder::default();
        let noted = Noted::new(network.clone(), history.clone());
        let effects = Arc::new(WorldEffects {
            reading: reading.clone(),
            router: Router::new(Arc::new(noted), swarm.partitions).with_rules(settings.rules),
            keyring: Arc::clone(&keyring),
            clock: Arc::clone(&clock),
            dice: dice.clone(),
            story: story.clone(),
            rates: Mutex::new(swarm.effects),
            log: log.clone(),
            violations: Arc::default(),
        });
        cluster.effects = Arc::clone(&effects) as Arc<dyn Effects>;
        Self {
            dice,
            story,
            log,
            network,
            swarm: Arc::new(swarm),
            rules: settings.rules,
            effects,
            cluster,
            router,
            clock,
            jumped,
            away: Arc::default(),
            keyring,
            reading,
            people: People::default(),
            posts: Arc::default(),
            comments: Arc::default(),
            sessions: Arc::default(),
            asked: Arc::default(),
            seen: Arc::default(),
            history,
            wanted: Arc::default(),
            clock_range: Arc::default(),
            left: Arc::new(AtomicUsize::new(wanted_commands)),
            wanted_commands,
        }
    }

    async fn run(self) -> Outcome {
        self.note_the_time();
        let mut nodes: Vec<Node> = (0..self.swarm.partitions).map(|n| self.cluster.start(Partition(n))).collect();
        let mut former = Vec::new();
        if let Err(violation) = self.storm(&mut nodes, &mut former).await {
            return Outcome { violations: vec![violation], lines: self.story.lines(), ..Outcome::default() };
        }
        self.tend(&mut nodes, &mut former);
        self.calm_down();
        let violations = self.verdict(&nodes, &former).await;
        let asked = self.asked.lock();
        let answered = |wanted: fn(&Answer) -> bool| asked.iter().filter(|asked| wanted(&asked.answer)).count();
        Outcome {
            violations,
            faults: self.story.faults(),
            deeds: self.story.deeds(),
            asked: asked.len(),
            wanted: self.wanted_commands,
            accepted: answered(|answer| matches!(answer, Answer::Accepted(_) | Answer::Ended(..))),
            refused: answered(|answer| matches!(answer, Answer::Refused(_) | Answer::Unchanged(_))),
            lines: self.story.lines(),
            history: self.history.clone(),
            doubled: self.network.doubled(),
            late: self.network.late(),
        }
    }

    /// Everybody does what they want, and things break, until all have what they wanted. An error is a log that nobody
    /// can read to its end any more.
    async fn storm(&self, nodes: &mut [Node], former: &mut Vec<Node>) -> Result<(), String> {
        let mut clients = self.begin();
        let (calm, give_up) = (Instant::now() + STORM_MAX, Instant::now() + WORLD_MAX);
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
                        self.strike(nodes, former);
                    } else {
                        self.calm_down();
                    }
                }
            }
            self.tend(nodes, former);
            if let Some(partition) = self.runs_away() {
                // Whatever else is wrong: reading such a log over and over takes for ever.
                return Err(format!("partition {partition} has more than {RECORDS_MAX} records: its owners fight"));
            }
        }
        Ok(())
    }

    /// What was promised and not kept.
    async fn verdict(&self, nodes: &[Node], former: &[Node]) -> Vec<String> {
        let mut violations = self.settle(nodes).await;
        let book = Book::read(&self.log).await;
        violations.extend(check::promises(self, &book));
        violations.extend(judge::violations(self, &book));
        violations.extend(fate::trespassers(self).await);
        violations.extend(self.effects.violations());
        let gone = book.gone().into_keys().collect::<Vec<_>>();
        violations.extend(self.reading.compare(&self.shown(), &gone).await);
        if violations.is_empty() {
            violations.extend(fate::cut_the_log(self, nodes, former).await);
        }
        violations
    }

    /// Everything that can be looked at.
    pub(super) fn shown(&self) -> Shown {
        let sessions = self.sessions.lock().iter().map(|(_, session)| *session).collect();
        Shown { users: self.people.everybody(), posts: self.posts.lock().clone(), sessions }
    }

    /// From now on nothing breaks, but in the stores of the read models.
    fn calm_down(&self) {
        self.log.set_faults(LogFaults::NONE);
        self.network.set_faults(NetworkFaults::NONE);
        self.effects.set_rates(EffectRates::NONE);
    }

    fn runs_away(&self) -> Option<Partition> {
        (0..self.swarm.partitions).map(Partition).find(|partition| self.log.landed(*partition) > RECORDS_MAX)
    }

    /// Something breaks.
    fn strike(&self, nodes: &mut [Node], former: &mut Vec<Node>) {
        let node = &mut nodes[self.dice.below(self.swarm.partitions as usize)];
        let partition = node.partition;
        if self.is_away(partition) {
            return;
        }
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
        let mut sagas = OpenSagas::of(&self.log).await;
        loop {
            sleep(Duration::from_millis(500)).await;
            self.reading.look_after().await;
            let open = sagas.look().await;
            if open.is_empty() {
                return Vec::new();
            }
            if let Some(node) = nodes.iter().find(|node| node.task.is_finished()) {
                return vec![format!("the owner of partition {} has ended by itself", node.partition)];
            }
            if Instant::now() > give_up {
                return open.iter().map(|saga| format!("saga {saga} is still open")).collect();
            }
        }
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
