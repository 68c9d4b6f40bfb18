//! Reads everything back at the end, page by page and through fresh sessions, and compares it with the model.
//!
//! Nothing writes meanwhile. A fresh session waits for the log's end, so from its first answer on the server has shown
//! that all acknowledged writes are applied; the reads without a token come last.

mod job;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use serde_json::Value;
use tokio::sync::RwLock;

use crate::act::Act;
use crate::compare::{compare, excerpt};
use crate::findings::Findings;
use crate::listing::Listing;
use crate::model::Model;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::PhaseLine;
use crate::session::Sessions;
use crate::worker;

use job::{Job, List};

/// Up to so many people all read as themselves; of more, so many do, evenly chosen.
const READERS_ALL_MAX: usize = 2000;
const READERS_SAMPLE: usize = 500;

pub(crate) struct Verification {
    model: Arc<RwLock<Model>>,
    sessions: Arc<Sessions>,
    findings: Arc<Findings>,
    at_once: usize,
    feed_depth_max: Option<usize>,
    /// Nothing was published before the run, so whatever is listed must be of it.
    alone: bool,
}

/// Everything that was ever acknowledged, by id.
struct Known {
    people: HashMap<String, usize>,
    posts: HashMap<String, usize>,
    comments: HashMap<String, usize>,
}

/// What all jobs of a verification share.
struct Verifier {
    model: Arc<RwLock<Model>>,
    sessions: Arc<Sessions>,
    findings: Arc<Findings>,
    known: Known,
    alone: bool,
}

impl Verification {
    pub(crate) fn new(
        options: &Options,
        model: Arc<RwLock<Model>>,
        sessions: Arc<Sessions>,
        findings: Arc<Findings>,
        alone: bool,
    ) -> Self {
        let (at_once, feed_depth_max) = (options.concurrency, options.feed_depth_max);
        Self { model, sessions, findings, at_once, feed_depth_max, alone }
    }

    pub(crate) async fn run(self, progress: &Progress) -> Result<Vec<PhaseLine>> {
        let model = self.model.read().await;
        let everybody: Vec<usize> = model.everybody().collect();
        let readers = readers(&everybody);
        let known =
            Known { people: model.people_by_id(), posts: model.posts_by_id(), comments: model.comments_by_id() };
        let signed_in = job::signed_in(&model, &readers, self.feed_depth_max);
        let anonymous = job::anonymous(&model);
        drop(model);
        let verifier = Arc::new(Verifier {
            model: self.model,
            sessions: self.sessions,
            findings: self.findings,
            known,
            alone: self.alone,
        });
        let mut lines = vec![verifier.log_in(&everybody, &readers, self.at_once, progress).await?];
        for (name, jobs) in [("verify", signed_in), ("verify unsigned", anonymous)] {
            lines.push(verifier.all(name, jobs, self.at_once, progress).await?);
        }
        Ok(lines)
    }
}

fn readers(everybody: &[usize]) -> Vec<usize> {
    let every = if everybody.len() <= READERS_ALL_MAX { 1 } else { everybody.len().div_ceil(READERS_SAMPLE) };
    everybody.iter().copied().step_by(every).collect()
}

impl Verifier {
    /// Gives each reader a fresh session and makes its first read, and learns when everybody was registered.
    async fn log_in(
        self: &Arc<Self>,
        everybody: &[usize],
        readers: &[usize],
        at_once: usize,
        progress: &Progress,
    ) -> Result<PhaseLine> {
        let signed_in = readers.iter().map(|person| (*person, *person));
        let others = everybody.iter().filter(|person| readers.binary_search(person).is_err());
        let others = others.zip(readers.iter().cycle()).map(|(person, reader)| (*person, *reader));
        let meetings: Vec<(usize, usize)> = signed_in.chain(others).collect();
        let bar = progress.bar("log in", meetings.len());
        let before = self.sessions.client.requests();
        let items = meetings.len() as u64;
        worker::each(meetings, at_once, &bar, |(person, reader)| {
            let verifier = Arc::clone(self);
            async move { verifier.meet(person, reader).await }
        })
        .await?;
        let requests = self.sessions.client.requests() - before;
        Ok(PhaseLine { name: "log in", items, requests, took: bar.finish() })
    }

    async fn meet(&self, person: usize, reader: usize) -> Result<()> {
        let path = if person == reader {
            self.sessions.forget(person).await;
            "/users/me".to_owned()
        } else {
            let model = self.model.read().await;
            format!("/users/{}", model.person_id(person).unwrap_or_default())
        };
        let answer = self.sessions.get(Some(reader), path.as_str()).await?;
        if let Err(lacks) = self.model.write().await.registered_at(person, &answer.body) {
            self.findings.differ(format!("GET {path}: {lacks}"));
        }
        Ok(())
    }

    async fn all(
        self: &Arc<Self>,
        name: &'static str,
        jobs: Vec<Job>,
        at_once: usize,
        progress: &Progress,
    ) -> Result<PhaseLine> {
        let bar = progress.bar(name, jobs.len());
        let before = self.sessions.client.requests();
        let items = jobs.len() as u64;
        worker::each(jobs, at_once, &bar, |job| {
            let verifier = Arc::clone(self);
            async move { verifier.verify(job).await }
        })
        .await?;
        let requests = self.sessions.client.requests() - before;
        Ok(PhaseLine { name, items, requests, took: bar.finish() })
    }

    async fn verify(&self, job: Job) -> Result<()> {
        match job {
            Job::Me { person } => self.profile(person, Some(person), true).await,
            Job::Profile { person, reader } => self.profile(person, reader, false).await,
            Job::Post { post, reader } => self.post(post, reader).await,
            Job::Gone { post, by, reader } => self.gone(post, by, reader).await,
            Job::Left { person, reader } => self.left(person, reader).await,
            Job::List { list, reader, limit, pages_max, depth_max } => {
                self.list(list, reader, limit, pages_max, depth_max).await
            }
        }
    }

    async fn profile(&self, person: usize, reader: Option<usize>, own: bool) -> Result<()> {
        let path = if own {
            "/users/me".to_owned()
        } else {
            format!("/users/{}", self.model.read().await.person_id(person).unwrap_or_default())
        };
        let answer = self.sessions.get(reader, path.as_str()).await?;
        let model = self.model.read().await;
        let at = format!("GET {path} ({}, as {})", model.username(person), name_of(&model, reader));
        if answer.status == 404 {
            let register = Act::Register { person };
            self.findings.lost(register, &format!("{}: {at} is 404", model.describe(register)));
            return Ok(());
        }
        let expected = if own { model.own_profile(person) } else { model.public_profile(person, reader) };
        self.compare(&at, &expected, &answer.body);
        self.findings.check(own || answer.body.get("email").is_none(), || format!("{at}: shows an address"));
        self.findings.check(reader.is_some() || answer.body.get("viewer").is_none(), || {
            format!("{at}: a viewer without a session")
        });
        let lost = [
            ("bio", model.last_bio(person)),
            ("username", Some(Act::Rename { person }).filter(|act| model.is_acknowledged(*act))),
        ];
        for (field, act) in lost {
            if let Some(act) = act.filter(|_| answer.body[field] != expected[field]) {
                self.findings.lost(act, &format!("{}: {at} shows another {field}", model.describe(act)));
            }
        }
        Ok(())
    }

    async fn post(&self, post: usize, reader: Option<usize>) -> Result<()> {
        let path = self.model.read().await.post_path(post).unwrap_or_default();
        let answer = self.sessions.get(reader, path.as_str()).await?;
        let model = self.model.read().await;
        let at = format!("GET {path} (as {})", name_of(&model, reader));
        if answer.status == 404 {
            let publish = Act::Publish { post };
            self.findings.lost(publish, &format!("{}: {at} is 404", model.describe(publish)));
            return Ok(());
        }
        let expected = model.post(post, reader);
        self.compare(&at, &expected, &answer.body);
        if let Some(edit) = model.last_edit(post).filter(|_| answer.body["content"] != expected["content"]) {
            self.findings.lost(edit, &format!("{}: {at} shows another text", model.describe(edit)));
        }
        let mentions = answer.body["mentions"].as_array().into_iter().flatten();
        let mentioned = mentions.filter_map(|mention| self.known.people.get(mention["id"].as_str()?));
        for person in mentioned.copied().filter(|person| model.has_left(*person)) {
            let leave = Act::Leave { person };
            self.findings.lost(leave, &format!("{}: {at} still mentions them", model.describe(leave)));
        }
        Ok(())
    }

    /// A post that is gone by this write, and what lies under it.
    async fn gone(&self, post: usize, by: Act, reader: Option<usize>) -> Result<()> {
        let path = self.model.read().await.post_path(post).unwrap_or_default();
        for under in ["", "/comments", "/likes"] {
            self.absent(&format!("{path}{under}"), by, reader).await?;
        }
        Ok(())
    }

    /// Somebody who has left, and the lists of whom they knew.
    async fn left(&self, person: usize, reader: Option<usize>) -> Result<()> {
        let id = self.model.read().await.person_id(person).unwrap_or_default().to_owned();
        for under in ["", "/followers", "/following"] {
            self.absent(&format!("/users/{id}{under}"), Act::Leave { person }, reader).await?;
        }
        Ok(())
    }

    /// What is not there any more since this write, which is lost if it is.
    async fn absent(&self, path: &str, by: Act, reader: Option<usize>) -> Result<()> {
        let status = self.sessions.get(reader, path).await?.status;
        self.findings.check(status == 404, || format!("GET {path}: of what is gone, answered {status}"));
        if status == 200 {
            let write = self.model.read().await.describe(by);
            self.findings.lost(by, &format!("{write}: GET {path} still shows it"));
        }
        Ok(())
    }

    async fn list(
        &self,
        list: List,
        reader: Option<usize>,
        limit: Option<usize>,
        pages_max: Option<usize>,
        depth_max: Option<usize>,
    ) -> Result<()> {
        let Some(path) = list.path(&*self.model.read().await) else { return Ok(()) };
        let listing = Listing { path, array: list.array(), key: list.key(), limit, pages_max, reader };
        let mut pages = listing.read(&self.sessions, &self.findings).await?;
        if pages.broken {
            return Ok(());
        }
        let model = self.model.read().await;
        if matches!(list, List::AllPosts) && !self.alone {
            pages.items.retain(|post| self.known.people.contains_key(post["author_id"].as_str().unwrap_or_default()));
        }
        let mut expected = list.expected(&model);
        if let Some(depth) = depth_max {
            expected.truncate(depth);
            pages.items.truncate(depth);
        } else if self.alone || !matches!(list, List::AllPosts) {
            let more = expected.len() > listing.items_max();
            self.findings.check(pages.more == more, || {
                let (read, all) = (pages.items.len(), expected.len());
                format!("GET {} ({}): after {read} of {all} items next_cursor is wrong", listing.path, listing.how())
            });
        }
        if !self.alone && matches!(list, List::AllPosts) && pages.more {
            // How many of the pages that were not read are ours is not known.
            expected.truncate(pages.items.len());
        }
        expected.truncate(listing.items_max());
        let ids: Vec<&str> = expected.iter().map(|index| list.id(&model, *index).unwrap_or_default()).collect();
        let difference = listing.compare(&self.findings, &ids, &pages, |at| list.item(&model, expected[at], reader));
        let at = format!("GET {} ({})", listing.path, listing.how());
        for position in &difference.missing {
            self.missing(
                &model,
                list,
                expected[*position],
                &format!("{at}: not listed at position {position}: {}", ids[*position]),
            );
        }
        for position in difference.unexpected {
            self.unexpected(&model, list, &pages.items[position], &at);
        }
        for position in difference.doubled {
            let id = &pages.items[position][listing.key];
            self.findings.doubled(format!("{} {id}", listing.path), &format!("{at}: {id} is listed twice"));
        }
        if let Some(position) = difference.out_of_order {
            let id = &pages.items[position][listing.key];
            self.findings.differ(format!("{at}: out of order from position {position} on: {id}"));
        }
        Ok(())
    }

    fn missing(&self, model: &Model, list: List, index: usize, line: &str) {
        match list.write(index) {
            Some(act) => self.findings.lost(act, &format!("{}: {line}", model.describe(act))),
            None => self.findings.differ(line.to_owned()),
        }
    }

    /// What is listed and should not be: something whose deletion was lost, or that of whoever it is of, or something that
    /// no known write has left.
    fn unexpected(&self, model: &Model, list: List, item: &Value, at: &str) {
        let id = item[list.key()].as_str().unwrap_or_default();
        let known = match list.array() {
            "comments" => &self.known.comments,
            "posts" | "feed" => &self.known.posts,
            _ => &self.known.people,
        };
        let undoing = known.get(id).map(|index| list.undoing(&model.plan, *index));
        if let Some(act) = undoing.into_iter().flatten().find(|act| model.is_acknowledged(*act)) {
            self.findings.lost(act, &format!("{}: {at}: still lists {id}", model.describe(act)));
        } else if known.contains_key(id) {
            self.findings.differ(format!("{at}: lists {id}, which does not belong here"));
        } else {
            self.findings.doubled(id.to_owned(), &format!("{at}: lists {}, which no write has left", excerpt(item)));
        }
    }

    fn compare(&self, at: &str, expected: &Value, actual: &Value) {
        let comparison = compare(expected, actual);
        self.findings.checked(comparison.values);
        for mismatch in comparison.mismatches {
            self.findings.differ(format!("{at}: {mismatch}"));
        }
    }
}

fn name_of(model: &Model, reader: Option<usize>) -> &str {
    reader.map_or("nobody", |reader| model.username(reader))
}
