//! Two nodes over one log and one read model that they share.

use super::*;
use crate::log::{MemoryKeys, MemoryLog};
use crate::projections::Projections;
use crate::runner::tests::{Notebook, add, follow, in_time, options, soon};
use events::Key;
use tokio::task::JoinSet;

struct Node {
    projections: Projections,
    assignment: watch::Sender<Assignment>,
    running: JoinSet<Result<(), Stop>>,
}

impl Node {
    fn start(log: &Arc<MemoryLog>, notebook: &Arc<Notebook>) -> Self {
        let keys = Arc::new(MemoryKeys::default());
        let shared = vec![Arc::clone(notebook) as _];
        let (projections, _, runners) = Projections::with_shared(options(log, &keys, vec![]), vec![shared]);
        let assignment = watch::Sender::new(Assignment::new());
        let mut running = JoinSet::new();
        for runner in runners {
            running.spawn(runner.run(assignment.subscribe(), CancellationToken::new()));
        }
        Self { projections, assignment, running }
    }

    fn assign(&self, is_assigned: bool) {
        self.assignment.send_replace(is_assigned.then_some(Partition(0)).into_iter().collect());
    }
}

fn world() -> (Arc<MemoryLog>, Arc<Notebook>, [Node; 2]) {
    let (log, notebook) = (MemoryLog::new(1), Arc::new(Notebook::default()));
    let nodes = [Node::start(&log, &notebook), Node::start(&log, &notebook)];
    (log, notebook, nodes)
}

#[tokio::test(start_paused = true)]
async fn each_commit_is_applied_once_while_the_partition_moves_between_nodes() {
    let (log, notebook, nodes) = world();
    let mut offsets = Vec::new();
    for turn in 0..40_usize {
        // One node, none, both, and the other one.
        nodes[0].assign(turn % 4 == 0 || turn % 4 == 2);
        nodes[1].assign(turn % 4 == 2 || turn % 4 == 3);
        for _ in 0..=turn % 3 {
            offsets.push(add(&log, follow(1, 2)));
            tokio::task::yield_now().await;
        }
    }
    for node in &nodes {
        node.projections.wait_for(&["notebook"], &[*offsets.last().unwrap()], soon()).await.unwrap();
    }
    let applied = offsets.iter().map(|position| position.offset).collect::<Vec<_>>();
    assert_eq!(notebook.notes(Key::User(crate::given::user(1))), applied);
    assert!(nodes.iter().all(|node| node.running.len() == 1), "none has ended");
}

#[tokio::test(start_paused = true)]
async fn who_waits_on_a_node_that_looks_on_learns_at_once_what_another_one_has_applied() {
    let (log, _, nodes) = world();
    nodes[0].assign(true);
    let position = add(&log, follow(1, 2));
    nodes[0].projections.wait_for(&["notebook"], &[position], soon()).await.unwrap();
    let begun = tokio::time::Instant::now();
    nodes[1].projections.wait_for(&["notebook"], &[position], soon()).await.unwrap();
    assert!(begun.elapsed() <= 2 * LOOK_AWAITED, "{:?}", begun.elapsed());
    assert_eq!(nodes[1].projections.shared_health()[0].state, RunnerState::LookingOn);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_looks_on_does_not_carry_out_what_an_operator_asks() {
    let (_, _, nodes) = world();
    nodes[0].assign(true);
    let key = Key::User(crate::given::user(1));
    let here = in_time(nodes[0].projections.retry("notebook", key)).await;
    let elsewhere = in_time(nodes[1].projections.retry("notebook", key)).await;
    assert_eq!((here, elsewhere), (Err(RequestError::NotParked), Err(RequestError::Elsewhere)));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_waited_for_by_whoever_feeds_it_and_whoever_looks_on() {
    let (log, notebook, nodes) = world();
    nodes[0].assign(true);
    notebook.fail(20);
    let position = add(&log, follow(1, 2));
    for node in &nodes {
        node.projections.wait_for(&["notebook"], &[position], soon()).await.unwrap();
    }
    assert!(nodes.iter().all(|node| node.running.len() == 1), "none has ended");
}
