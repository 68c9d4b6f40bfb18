//! Books against the log itself, read after the server has ended, without any read model; and against the API.

use crate::child::HttpClient;
use crate::load::Write;
use anyhow::{Context, Result, ensure};
use events::{
    CipherKey, CommandId, CommentEvent, Event, FollowEvent, KeyId, Keyring, LikeEvent, PostEvent, PostId, Sealable,
    Sealed, Timestamp, UserId,
};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, StatusCode};
use journal::embedded::{self, PARTITIONS_DEFAULT};
use journal::{Journal, Partition, Reader};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Requests to the API at one time.
const ASKED_AT_ONCE: usize = 16;

/// What the log says: the values of each key, in order, each with its time.
#[derive(Default)]
struct Told {
    values: BTreeMap<String, Vec<(String, Timestamp)>>,
    commands: HashMap<CommandId, usize>,
    /// What posts say that are being created.
    drafts: HashMap<PostId, String>,
}

/// What came of the comparison.
#[derive(Default, Debug)]
pub struct Audit {
    /// Writes in the books.
    pub acknowledged: usize,
    /// Of these, those that are not in the log, or not as they were acknowledged.
    pub lost: Vec<String>,
    /// What is in the log more often than it was acknowledged, and commands that were carried out twice.
    pub doubled: Vec<String>,
    /// Writes that were in doubt before they were answered.
    pub unknown: usize,
    /// Of these, those that had taken effect when they were in doubt; the others did when they were sent again.
    pub had_happened: usize,
}

impl Audit {
    /// Compares. Nobody may have the directory open.
    pub async fn of_log(data: &Path, books: &[Write]) -> Result<Self> {
        let embedded = embedded::open(data, PARTITIONS_DEFAULT)?;
        Self::of(embedded.log.clone(), embedded.keyring.clone(), books).await
    }

    /// Compares with a log that is open.
    pub async fn of(journal: Arc<dyn Journal>, keyring: Arc<dyn Keyring>, books: &[Write]) -> Result<Self> {
        let told = Told::by_log(journal, &*keyring).await?;
        let mut expected = BTreeMap::<_, Vec<&Write>>::new();
        for write in books {
            expected.entry(write.key.as_str()).or_default().push(write);
        }
        let mut audit = Self { acknowledged: books.len(), ..Self::default() };
        for (key, writes) in &expected {
            let found = told.values.get(*key).map_or(&[][..], Vec::as_slice);
            audit.compare(key, writes, found);
        }
        for (key, found) in told.values.iter().filter(|(key, _)| !expected.contains_key(key.as_str())) {
            audit.doubled.push(format!("{key}, {} times, although nobody was told", found.len()));
        }
        let twice = told.commands.iter().filter(|(_, times)| **times > 1);
        audit.doubled.extend(twice.map(|(command, times)| format!("command {command:?}, {times} times")));
        Ok(audit)
    }

    fn compare(&mut self, key: &str, writes: &[&Write], found: &[(String, Timestamp)]) {
        for (n, write) in writes.iter().enumerate() {
            match found.get(n) {
                Some((value, time)) if *value == write.value => {
                    self.unknown += usize::from(write.doubts > 0);
                    self.had_happened += usize::from(write.doubts > 0 && *time < write.last_sent);
                }
                other => self.lost.push(format!("{key}: {} (there is {other:?})", write.value)),
            }
        }
        self.doubled.extend(found.iter().skip(writes.len()).map(|(value, _)| format!("{key}: {value}")));
    }

    /// An error if anything was lost or doubled.
    pub fn is_clean(&self) -> Result<()> {
        ensure!(
            self.lost.is_empty() && self.doubled.is_empty(),
            "lost: {:#?}, doubled: {:#?}",
            self.lost,
            self.doubled
        );
        Ok(())
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, lost, doubled, unknown, had_happened } = self;
        write!(
            f,
            "{acknowledged} writes acknowledged, {} lost, {} doubled; {unknown} had been in doubt: {had_happened} had \
             taken effect, {} did when sent again",
            lost.len(),
            doubled.len(),
            unknown - had_happened
        )
    }
}

impl Told {
    async fn by_log(journal: Arc<dyn Journal>, keyring: &dyn Keyring) -> Result<Self> {
        let mut told = Self::default();
        for partition in (0..journal.partitions()).map(Partition) {
            let mut reader = Reader::from_start(Arc::clone(&journal), partition).await?;
            loop {
                let commits = reader.commits().await?;
                if commits.is_empty() {
                    break;
                }
                for decoded in commits {
                    *told.commands.entry(decoded.commit.command).or_default() += 1;
                    for event in &decoded.commit.events {
                        told.hear(keyring, event, decoded.commit.time).await?;
                    }
                }
            }
        }
        Ok(told)
    }

    async fn hear(&mut self, keyring: &dyn Keyring, event: &Event, time: Timestamp) -> Result<()> {
        let (key, value) = match event {
            Event::Post(PostEvent::Published(it)) => {
                let content = open(keyring, it.author, &it.content).await?;
                (format!("post {}", it.post), format!("{} by {}", content.as_str(), it.author))
            }
            Event::Post(PostEvent::Drafted(it)) => {
                let content = open(keyring, it.author, &it.content).await?;
                self.drafts.insert(it.post, format!("{} by {}", content.as_str(), it.author));
                return Ok(());
            }
            Event::Post(PostEvent::DraftPublished(it)) => {
                let value = self.drafts.remove(&it.post).context("a draft is published that never was one")?;
                (format!("post {}", it.post), value)
            }
            Event::Comment(CommentEvent::Added(it)) => {
                let text = open(keyring, it.author, &it.text).await?;
                let value = format!("{} by {} under {}", text.as_str(), it.author, it.post);
                (format!("comment {}", it.comment), value)
            }
            Event::Like(LikeEvent::Added(it)) => (format!("like of {} by {}", it.post, it.user), true.to_string()),
            Event::Like(LikeEvent::Removed(it)) => (format!("like of {} by {}", it.post, it.user), false.to_string()),
            Event::Follow(FollowEvent::Started(it)) => {
                (format!("follow of {} by {}", it.followee, it.follower), true.to_string())
            }
            Event::Follow(FollowEvent::Ended(it)) => {
                (format!("follow of {} by {}", it.followee, it.follower), false.to_string())
            }
            _ => return Ok(()),
        };
        self.values.entry(key).or_default().push((value, time));
        Ok(())
    }
}

async fn open<T: Sealable>(keyring: &dyn Keyring, owner: UserId, sealed: &Sealed<T>) -> Result<T> {
    let key: Arc<CipherKey> = keyring.find(KeyId::from(owner)).await?.context("the key was destroyed")?;
    Ok(sealed.open(&key)?)
}

/// Compares the books with what the API shows: every post with its counts, every comment, every list of the followed.
/// How many requests it took.
pub async fn ask_api(client: &HttpClient, books: &[Write]) -> Result<usize> {
    let mut now = BTreeMap::new();
    for write in books {
        now.insert(write.key.as_str(), write.value.as_str());
    }
    let mut counts = HashMap::<_, (usize, usize)>::new();
    for (key, value) in &now {
        match key.split(' ').collect::<Vec<_>>()[..] {
            ["like", "of", post, ..] if *value == "true" => counts.entry(post).or_default().0 += 1,
            ["comment", _] => counts.entry(value.rsplit(' ').next().unwrap_or_default()).or_default().1 += 1,
            _ => {}
        }
    }
    let (now, counts) = (&now, &counts);
    let asked = stream::iter(now)
        .map(|(key, value)| async move {
            match key.split(' ').collect::<Vec<_>>()[..] {
                ["post", id] => {
                    let post = get(client, &format!("/posts/{id}")).await?;
                    let (likes, comments) = counts.get(id).copied().unwrap_or_default();
                    let says = format!("{} by {}", text(&post["content"]), text(&post["author_id"]));
                    ensure!(says == **value, "post {id}: {says}, not {value}");
                    ensure!(
                        post["likes_count"] == likes && post["comments_count"] == comments,
                        "{likes} {comments} {post}"
                    );
                }
                ["comment", id] => {
                    let under = value.rsplit(' ').next().context("a comment has a post")?;
                    let comment = get(client, &format!("/posts/{under}/comments/{id}")).await?;
                    let says = format!("{} by {} under {under}", text(&comment["text"]), text(&comment["author_id"]));
                    ensure!(says == **value, "comment {id}: {says}, not {value}");
                }
                ["follow", "of", whom, "by", who] => {
                    let list = get(client, &format!("/users/{who}/following?limit=100")).await?;
                    let users = list["users"].as_array().context("no list")?;
                    let follows = users.iter().any(|user| user["id"] == whom);
                    ensure!(follows.to_string() == **value, "{who} follows {whom}: {follows}, not {value}");
                }
                _ => return Ok(0),
            }
            Ok(1)
        })
        .buffer_unordered(ASKED_AT_ONCE);
    asked.try_fold(0, |sum, one| async move { Ok(sum + one) }).await
}

async fn get(client: &HttpClient, path: &str) -> Result<Value> {
    let (status, body) = client.until_answered(Method::GET, path, None, &[]).await?;
    ensure!(status == StatusCode::OK, "{path}: {status} {body}");
    Ok(body)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
