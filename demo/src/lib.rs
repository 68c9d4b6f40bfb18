//! The library behind `tidings demo`: loads a social graph through the public HTTP API, as a client would, and compares
//! everything it reads afterwards with its own model of what it did.
//!
//! It shares no code with the server, so that a mistake cannot hide on both sides. The plan of a run follows from its
//! options alone; the model learns from the answers only what a client cannot know (ids and times).

mod act;
mod client;
mod compare;
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
mod worker;

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::{Mutex, RwLock};

pub use options::{Options, OwnServer, Source, Target};
pub use report::{KillLine, PhaseLine, Report};

use client::Client;
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

/// Loads the graph, kills and restarts the server as often as asked, and verifies all that was acknowledged.
///
/// An error means that the run could not be finished (the server never became ready, a request was given up after its
/// limit, the graph is malformed); what the server did wrong is in the report. A server that was started here has ended
/// when this returns.
pub async fn run(options: Options) -> Result<Report> {
    ensure!(options.concurrency > 0, "the concurrency is at least 1");
    ensure!(
        options.kills == 0 || matches!(options.target, Target::Own(_)),
        "only a server that the demo has started itself can be killed"
    );
    let graph = match &options.source {
        Source::File(path) => Graph::read(path)?,
        Source::People(people) => Graph::generate(*people, &mut StdRng::seed_from_u64(options.seed))?,
    };
    let plan = Arc::new(Plan::new(&graph, &options.volume(&graph), options.seed));
    match &options.target {
        Target::Running(url) => execute(&options, plan, url, None).await,
        Target::Own(own) => {
            let server = Arc::new(Mutex::new(Server::start(own).await?));
            let url = server.lock().await.url();
            let outcome = execute(&options, plan, &url, Some(Arc::clone(&server))).await;
            let stopped = server.lock().await.stop().await;
            let mut report = outcome.with_context(|| server::log_hint(own))?;
            if let Err(error) = stopped {
                report.add_difference(format!("the server did not stop as asked: {error:#}"));
            }
            Ok(report)
        }
    }
}

async fn execute(options: &Options, plan: Arc<Plan>, url: &str, server: Option<Arc<Mutex<Server>>>) -> Result<Report> {
    let findings = Arc::new(Findings::default());
    let names = Names::of_a_new_run();
    let client = Client::new(url, options.concurrency)?;
    let sessions = Arc::new(Sessions::new(client, plan.people, names.clone(), Arc::clone(&findings)));
    let progress = Progress::new(options.progress);
    let model = Arc::new(RwLock::new(Model::new(Arc::clone(&plan), names)));
    let empty = load::is_empty(&sessions).await?;
    let acts = plan.counts();

    let killer = Killer::new(server, options.kills, plan.steps.len(), options.seed);
    let mut load = Load::new(plan, Arc::clone(&model), Arc::clone(&sessions), Arc::clone(&findings), killer);
    let mut phases = load.run(options.concurrency, &progress).await?;
    let kills = load.finish().await?;

    let verification =
        Verification::new(options, Arc::clone(&model), Arc::clone(&sessions), Arc::clone(&findings), empty);
    phases.extend(verification.run(&progress).await?);
    let model = model.read().await;
    Ok(Report::new(acts, phases, kills, model.acknowledged(), &sessions.client, &findings))
}
