//! The library behind `tidings demo`: loads a social graph through the public HTTP API, as a client would, and compares
//! everything it reads afterwards with its own model of what it did.
//!
//! It shares no code with the server, so that a mistake cannot hide on both sides. The plan of a run follows from its
//! options alone; the model learns from the answers only what a client cannot know (ids and times).

mod act;
mod client;
mod compare;
mod deletions;
mod draft;
mod findings;
mod graph;
mod killer;
mod listing;
mod load;
mod model;
mod names;
mod options;
mod plan;
mod progress;
mod readback;
mod report;
mod server;
mod session;
mod verify;
mod victim;
mod worker;

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::{Mutex, RwLock};

pub use options::{Options, OwnServer, OwnService, Source, Target};
pub use report::{KillLine, PhaseLine, Report};

use client::Client;
use deletions::Deletions;
use findings::Findings;
use graph::Graph;
use killer::Killer;
use load::Load;
use model::Model;
use names::Names;
use plan::Plan;
use progress::Progress;
use server::Server;
use session::Sessions;
use verify::Verification;
use victim::Victim;

/// Loads the graph, kills and restarts the server as often as asked, and verifies all that was acknowledged.
///
/// An error means that the run could not be finished (the server never became ready, a request was given up after its
/// limit, the graph is malformed); what the server did wrong is in the report. A server that was started here has ended
/// when this returns.
pub async fn run(options: Options) -> Result<Report> {
    ensure!(options.concurrency > 0, "the concurrency is at least 1");
    ensure!(
        options.kills == 0 || matches!(options.target, Target::Own { .. }),
        "only a server that the demo has started itself can be killed"
    );
    let graph = match &options.source {
        Source::File(path) => Graph::read(path)?,
        Source::People(people) => Graph::generate(*people, &mut StdRng::seed_from_u64(options.seed))?,
    };
    let plan = Arc::new(Plan::new(&graph, &options.volume(&graph), options.seed));
    let (nodes, services) = match &options.target {
        Target::Running(url) => return execute(&options, plan, std::slice::from_ref(url), Vec::new()).await,
        Target::Own { nodes, services } => (nodes, services),
    };
    let hint = || nodes.first().map(server::log_hint).unwrap_or_default();
    let (urls, victims) = start(nodes, services).await.with_context(hint)?;
    let outcome = execute(&options, plan, &urls, victims.clone()).await;
    let mut report = match outcome {
        Ok(report) => report,
        Err(error) => return Err(because(error, &victims).await).with_context(hint),
    };
    for victim in victims {
        if let Victim::Server(server) = &mut *victim.lock().await
            && let Err(error) = server.stop().await
        {
            report.add_difference(format!("a server did not stop as asked: {error:#}"));
        }
    }
    Ok(report)
}

/// A server that has ended by itself says more than what could not be asked of it any more.
async fn because(mut error: anyhow::Error, victims: &[Arc<Mutex<Victim>>]) -> anyhow::Error {
    for victim in victims {
        if let Victim::Server(server) = &mut *victim.lock().await
            && let Some(status) = server.has_ended()
        {
            let log = server.log().display().to_string();
            error = error.context(format!("the server whose output is in {log} has ended by itself: {status}"));
        }
    }
    error
}

/// Starts all nodes, one after the other: where they serve, and what can be killed.
async fn start(nodes: &[OwnServer], services: &[OwnService]) -> Result<(Vec<String>, Vec<Arc<Mutex<Victim>>>)> {
    let (mut urls, mut victims) = (Vec::new(), Vec::new());
    for own in nodes {
        let server = Server::start(own).await?;
        urls.push(server.url());
        victims.push(Victim::Server(Box::new(server)));
    }
    victims.extend(services.iter().cloned().map(Victim::Service));
    Ok((urls, victims.into_iter().map(|victim| Arc::new(Mutex::new(victim))).collect()))
}

async fn execute(
    options: &Options,
    plan: Arc<Plan>,
    urls: &[String],
    victims: Vec<Arc<Mutex<Victim>>>,
) -> Result<Report> {
    let findings = Arc::new(Findings::default());
    let names = Names::of_a_new_run();
    let client = Client::over(urls, options.concurrency)?;
    let sessions = Arc::new(Sessions::new(client, plan.people, names.clone(), Arc::clone(&findings)));
    let progress = Progress::new(options.progress);
    let model = Arc::new(RwLock::new(Model::new(Arc::clone(&plan), names)));
    let empty = load::is_empty(&sessions).await?;
    let acts = plan.counts();

    let last = plan.phases.last().map_or(0..0, |phase| phase.steps.clone());
    let killer = Killer::new(victims, sessions.client.clone(), options.kills, &last, options.seed);
    let mut load = Load::new(plan, Arc::clone(&model), Arc::clone(&sessions), Arc::clone(&findings), killer);
    let mut phases = load.run(options.concurrency, &progress).await?;
    let kills = load.finish().await?;
    let deletions = Deletions::new(Arc::clone(&model), Arc::clone(&sessions), Arc::clone(&findings));
    phases.push(deletions.erased(progress).await?);

    // Each node by itself: what one shows says nothing about another.
    for node in sessions.client.of_each() {
        let sessions = Arc::new(sessions.with(node));
        let verification = Verification::new(options, Arc::clone(&model), sessions, Arc::clone(&findings), empty);
        phases.extend(verification.run(&progress).await?);
    }
    let (over, longest_deletion) = deletions.over(progress).await?;
    phases.push(over);
    let acknowledged = model.read().await.acknowledged();
    Ok(Report::new(acts, phases, kills, longest_deletion, acknowledged, &sessions.client, &findings))
}
