//! Commands on a log on Kafka, on one node and on two, beside a bare producer of the same bytes on the same broker.
//!
//! The first node is this process; the second is the real program. Both share the partitions, so that half of the
//! commands go to the other process and back.

mod bare;
pub(crate) mod handover;

use crate::creation;
use crate::http::start_on;
use crate::in_process::{COLUMNS, compare};
use crate::node::Node;
use crate::options::{Options, Scale};
use crate::people::People;
use crate::report::{Floor, Section};
use crate::rounds::Compared;
use crate::script::Load;
use anyhow::{Context, Result};
use bare::Bare;
use gateway::{Store, StoreConfig};
use journal::kafka::PARTITIONS_DEFAULT;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// How often product and baseline take turns.
const ROUNDS: usize = 5;

/// Measures both loads on one node and on two.
pub(crate) async fn run(scale: &Scale, options: &Options, directory: &Path) -> Result<(Vec<Section>, Vec<Floor>)> {
    let scale = scale.with_rounds(ROUNDS);
    let (mut sections, mut floors) = (Vec::new(), Vec::new());
    for nodes in [1, 2] {
        let (config, node, people) = settle(&scale, options).await?;
        let mut other = None;
        if nodes == 2 {
            other = Some(start_on(&config, directory.join("node.log")).await?);
            node.share(PARTITIONS_DEFAULT as usize / 2).await?;
        }
        let bare = Bare::open(&config).await?;
        for load in [Load::Likes, Load::Mix] {
            let on = if nodes == 1 { "one node" } else { "two nodes" };
            let mut section = Section::new(format!("On Kafka, {on}: {}", load.in_words()), COLUMNS.into());
            section.note(format!("{PARTITIONS_DEFAULT} partitions, one broker; clients in this process"));
            section.note("beside one producer of the same keys, values and headers, acks=all, idempotent, linger 0");
            let rows = compare(&scale, &node, &people, load, &bare, &mut section).await?;
            if (nodes, load) == (1, Load::Likes) {
                floors.extend(rows.iter().filter_map(|(clients, compared)| floor(*clients, compared)));
            }
            sections.push(section);
        }
        bare.close().await?;
        drop(other);
        node.close().await?;
        Store::open(&config).await?.delete().await?;
    }
    Ok((sections, floors))
}

/// A node that owns all of a new log, and its population for a load.
pub(crate) async fn settle(scale: &Scale, options: &Options) -> Result<(StoreConfig, Node, Arc<People>)> {
    let config = new_log(options, PARTITIONS_DEFAULT)?;
    let node = Node::open(&config, true).await?;
    node.share(PARTITIONS_DEFAULT as usize).await?;
    let people = People::settle(&node, scale.users, scale.posts).await?;
    Ok((config, node, people))
}

/// Posts by their saga, beside one plain commit.
pub(crate) async fn posts(scale: &Scale, options: &Options) -> Result<(Section, Vec<Floor>)> {
    let (config, node, people) = settle(scale, options).await?;
    let measured = creation::run_on_kafka(scale, &node, &people).await?;
    node.close().await?;
    Store::open(&config).await?.delete().await?;
    Ok(measured)
}

/// Topic and keyring of a log that nobody has.
fn new_log(options: &Options, partitions: u32) -> Result<StoreConfig> {
    let missing = "--kafka needs KAFKA_BROKERS and KEYRING_URL: `./dev bench --kafka` starts both and sets them";
    let keyring = options.keyring_url.as_ref().context(missing)?;
    let id = Uuid::new_v4().simple();
    Ok(StoreConfig {
        data: PathBuf::from("unused"),
        partitions: Some(partitions),
        kafka_brokers: Some(options.kafka_brokers.clone().context(missing)?),
        kafka_topic: format!("bench-{id}"),
        kafka_properties: Vec::new(),
        kafka_properties_file: None,
        keyring_url: Some(format!("{keyring}?options[search_path]=bench_{id}")),
        keyring_url_file: None,
        dev: true,
    })
}

fn floor(clients: usize, compared: &Compared) -> Option<Floor> {
    match clients {
        1 => {
            let times = compared.p50_ratio();
            Some(Floor::at_most("on Kafka, likes, 1 client: p50 in p50s of the bare producer", 2.5, times))
        }
        1_024 => {
            let ratio = compared.ratio();
            Some(Floor::at_least("on Kafka, likes, 1,024 clients: ratio to the bare producer", 0.35, ratio))
        }
        _ => None,
    }
}
