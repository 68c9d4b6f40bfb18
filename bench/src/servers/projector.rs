//! A whole log read into an empty place on a server, beside what the server does by itself with what comes of it.

use super::Servers;
use super::copy::Rows;
use super::fed::Fed;
use super::inserted::Documents;
use super::place::{Place, Which};
use super::zadd;
use crate::options::Scale;
use crate::replay::{Kept, Open};
use crate::report::{Cell, Floor, Report, Section};
use crate::rounds::median;
use crate::script::MIX;
use anyhow::Result;
use std::path::Path;
use std::time::{Duration, Instant};

/// What reading a log into the schema may take, in times of copying the rows.
const COPY_RATIO_MIN: f64 = 0.35;
const EVENTS_MIN: f64 = 30_000.0;
/// The same in Redis.
const ZADD_RATIO_MIN: f64 = 0.4;
/// Of fewer, what they do would repeat itself.
const CROWD_MIN: usize = 100;

pub(super) async fn run(
    scale: &Scale,
    servers: &Servers,
    directory: &Path,
    fresh: bool,
    report: &mut Report,
) -> Result<()> {
    let open = Kept::get(scale, directory, fresh).await?.open()?;
    // Few enough that everybody is followed by dozens in the end, as people are.
    let crowd = Scale { users: (scale.users / 10).max(CROWD_MIN), ..*scale };
    let crowded = Kept::get(&crowd, directory, fresh).await?.open()?;
    let columns = vec!["", "events", "s", "events/s", "rows", "by itself s", "ratio"];
    let mut section = Section::new("A whole log read into servers", columns);
    section.note(format!("{} users with sealed addresses, names and bios, then {MIX};", scale.users));
    section.note(format!("for the feeds {} users: a post goes to all who follow its author;", crowd.users));
    section.note("by the real runners, all partitions at once, into tables and collections with all their indexes;");
    section.note(
        "by itself: COPY, or insertMany, of what came of it into the same ones, one connection; in Redis as many",
    );
    section.note("ZADD as elements come into its sorted sets, by redis-benchmark -P 64; in turns;");
    section.note("ratio: how long that takes, in times of the reading");
    let mut floors = Vec::new();
    for (what, which) in [
        ("users in PostgreSQL", Which::Users),
        ("posts in PostgreSQL", Which::Posts),
        ("all of PostgreSQL", Which::Postgres),
        ("notifications in MongoDB", Which::MongoDb),
        ("feeds in Redis", Which::Feeds),
    ] {
        let open = if which == Which::Feeds { &crowded } else { &open };
        let events = open.read().await? as f64;
        let elements = if which == Which::Feeds { elements(open, servers).await? } else { 0 };
        let (mut taken, mut bare, mut ratios, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for _ in 0..scale.rounds {
            let round = Round::of(open, servers, which, elements).await?;
            taken.push(round.took);
            bare.push(round.by_itself);
            ratios.push(round.by_itself / round.took);
            count = round.rows;
        }
        let (took, ratio) = (median(taken.into_iter()), median(ratios.into_iter()));
        section.row(vec![
            what.into(),
            Cell::count(events),
            Cell::number(took),
            Cell::count(events / took),
            Cell::count(count as f64),
            Cell::number(median(bare.into_iter())),
            Cell::number(ratio),
        ]);
        if which == Which::Postgres {
            floors.push(Floor::at_least("into PostgreSQL: ratio to COPY of the same rows", COPY_RATIO_MIN, ratio));
            floors.push(Floor::at_least("into PostgreSQL: events/s", EVENTS_MIN, events / took));
        }
        if which == Which::Feeds {
            let what = "into Redis feeds: ratio to redis-benchmark -P 64 ZADD";
            floors.push(Floor::at_least(what, ZADD_RATIO_MIN, ratio));
        }
    }
    report.add([section], floors);
    Ok(())
}

/// One reading, and the server by itself after it; in seconds.
struct Round {
    took: f64,
    by_itself: f64,
    rows: usize,
}

/// How many come into the sorted sets of Redis with a log.
async fn elements(open: &Open, servers: &Servers) -> Result<u64> {
    let place = Place::new(servers, Which::Feeds).await?;
    let count = zadd::elements(&place, async { read_into(open, &place).await.map(drop) }).await?;
    place.delete().await?;
    Ok(count)
}

impl Round {
    async fn of(open: &Open, servers: &Servers, which: Which, elements: u64) -> Result<Self> {
        let place = Place::new(servers, which).await?;
        let took = read_into(open, &place).await?.as_secs_f64();
        let (by_itself, rows) = if which == Which::Feeds {
            let by_itself = zadd::by_itself(&place, elements).await?;
            place.delete().await?;
            (by_itself, usize::try_from(elements)?)
        } else if which == Which::MongoDb {
            let documents = Documents::of(&place).await?;
            place.delete().await?;
            let place = Place::new(servers, which).await?;
            let by_itself = documents.insert_into(&place).await?;
            place.delete().await?;
            (by_itself, documents.count())
        } else {
            let rows = Rows::of(&place).await?;
            place.delete().await?;
            let place = Place::new(servers, which).await?;
            let by_itself = rows.copy_into(&place).await?;
            place.delete().await?;
            (by_itself, rows.count())
        };
        Ok(Self { took, by_itself: by_itself.as_secs_f64(), rows })
    }
}

async fn read_into(open: &Open, place: &Place) -> Result<Duration> {
    let begun = Instant::now();
    let fed = Fed::begin(&open.journal, &open.keyring, place).await?;
    fed.catch_up().await?;
    let took = begun.elapsed();
    fed.end().await?;
    Ok(took)
}
