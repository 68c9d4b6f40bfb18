//! Checkpoints beside the data: read, and moved on in the script that changes the data, if nobody else has moved them.
//!
//! A checkpoint is one line of text, so that a script can tell whether it is the expected one, in the hash
//! `checkpoints:{model}` under its partition; what is parked stands in `parked:{model}`.

use super::{Keyspace, Passed};
use crate::checkpoint::Checkpoint;
use crate::parked;
use crate::read_model::{Advance, ApplyError, Unavailable};
use events::Incarnation;
use journal::{Head, Offset, Partition};
use redis::{Script, ScriptInvocation};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::LazyLock;

/// What a script begins with: nobody else has moved the checkpoint, or nothing happens. Its own arguments begin with the
/// seventh. That the server has room for what
/// comes it asks before anything is changed (a script with a first line like this one).
const COMPARE: &str = "#!lua
local checkpoints, parked, log = KEYS[1], KEYS[2], KEYS[3]
local name, partition, expected, new, markers, prefix = unpack(ARGV, 1, 6)
local of = redis.call('GET', log)
if of and of ~= name then return 'the log ' .. of end
if (redis.call('HGET', checkpoints, partition) or '') ~= expected then return 'fenced' end
";
/// What it ends with. Not before: what failed halfway is done again.
const SET: &str = "
redis.call('SET', log, name)
redis.call('HSET', checkpoints, partition, new)
if markers == '{}' then redis.call('HDEL', parked, partition)
elseif markers ~= '' then redis.call('HSET', parked, partition, markers) end
return 'done'
";

/// Both at once; no transaction, of which a server that has no more memory takes none.
static LOAD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "#!lua flags=no-writes
return {redis.call('HGET', KEYS[1], ARGV[1]), redis.call('HGET', KEYS[2], ARGV[1])}",
    )
});

/// Those of one build of one read model.
pub(crate) struct Checkpoints {
    pub(crate) model: &'static str,
    pub(crate) generation: u64,
    pub(crate) passed: Passed,
}

impl Checkpoints {
    /// A script that changes data in this way, together with the checkpoint.
    pub(crate) fn script(change: &str) -> Script {
        Script::new(&[COMPARE, change, SET].concat())
    }

    /// The key of the hash that holds them, by partition.
    pub(crate) fn key(&self, keys: &Keyspace) -> String {
        keys.key(&format!("checkpoints:{}", self.model))
    }

    fn parked_key(&self, keys: &Keyspace) -> String {
        keys.key(&format!("parked:{}", self.model))
    }

    pub(crate) async fn load(&self, keys: &Keyspace, partition: Partition) -> Result<Option<Checkpoint>, Unavailable> {
        let mut both = LOAD.prepare_invoke();
        both.key(self.key(keys)).key(self.parked_key(keys)).arg(partition.0);
        let (stored, parked): (Option<String>, Option<String>) = keys.ask(&both).await?;
        let Some(stored) = stored else { return Ok(None) };
        let (generation, revision, at) = read(&stored)?;
        self.passed.note(partition, at.next);
        let parked = parked.map(|parked| parked::decode(&parked, "Redis")).transpose()?.unwrap_or_default();
        Ok(Some(Checkpoint { generation, revision, at, parked }))
    }

    /// Fails where less is `stored`, by partition, than was [`known`](Passed::all) before it was asked for: then whatever was
    /// read together with it lacks something.
    pub(crate) fn believe(
        &self,
        known: &HashMap<Partition, Offset>,
        stored: &HashMap<u32, String>,
    ) -> Result<(), Unavailable> {
        for (partition, text) in stored {
            self.passed.note(Partition(*partition), next_of(Some(text))?);
        }
        for (partition, known) in known {
            if next_of(stored.get(&partition.0).map(String::as_str))? < *known {
                let what = self.model;
                return Err(Unavailable(format!("Redis: it has lost some of {what}, and gets it from the log again")));
            }
        }
        Ok(())
    }

    /// The script with what it compares and sets; the model adds what it is to change.
    pub(crate) fn advance<'s>(
        &self,
        script: &'s Script,
        keys: &Keyspace,
        Advance { partition, expected, new, .. }: &Advance<'_>,
    ) -> Result<ScriptInvocation<'s>, ApplyError> {
        if expected.generation != self.generation {
            return Err(ApplyError::Fenced);
        }
        let is_first = expected.revision == 0 && expected.at.next == 0;
        let markers = if expected.parked == new.parked { String::new() } else { parked::encode(&new.parked) };
        let mut invocation = script.prepare_invoke();
        invocation.key(self.key(keys)).key(self.parked_key(keys)).key(keys.key("log"));
        invocation.arg(&keys.bound()?.log).arg(partition.0);
        invocation.arg(if is_first { String::new() } else { written(expected) }).arg(written(new)).arg(markers);
        invocation.arg(keys.key(""));
        Ok(invocation)
    }

    /// Has it carried out.
    pub(crate) async fn carry_out(
        &self,
        keys: &Keyspace,
        script: &ScriptInvocation<'_>,
        Advance { partition, new, .. }: &Advance<'_>,
    ) -> Result<(), ApplyError> {
        let said: String = keys.change(script).await?;
        match said.as_str() {
            "done" => {
                self.passed.note(*partition, new.at.next);
                Ok(())
            }
            "fenced" => Err(ApplyError::Fenced),
            log => Err(Unavailable(format!("Redis: its read models are built from {log} by now")).into()),
        }
    }
}

/// As far as a stored checkpoint has come; 0 if there is none.
pub(crate) fn next_of(stored: Option<&str>) -> Result<Offset, Unavailable> {
    stored.map_or(Ok(0), |stored| Ok(read(stored)?.2.next))
}

/// Generation, revision, next, head, the head's offset, incarnation; of the last two `-` stands for none.
fn written(Checkpoint { generation, revision, at, .. }: &Checkpoint) -> String {
    let journal::Checkpoint { next, head, head_offset, incarnation } = at;
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let head_offset = or_none(head_offset.map(|offset| offset.to_string()));
    let incarnation = or_none(incarnation.map(|incarnation| incarnation.to_string()));
    format!("{generation} {revision} {next} {head} {head_offset} {incarnation}")
}

fn read(stored: &str) -> Result<(u64, u64, journal::Checkpoint), Unavailable> {
    let read = || {
        let mut parts = stored.split(' ');
        let (generation, revision, next) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
        let head = Head(bytes(parts.next()?)?);
        let head_offset = or_none(parts.next()?)?;
        let incarnation: Option<Incarnation> = or_none(parts.next()?)?;
        let at = journal::Checkpoint { next, head, head_offset, incarnation };
        parts.next().is_none().then_some((generation, revision, at))
    };
    read().ok_or_else(|| Unavailable("Redis: a checkpoint has another shape".to_owned()))
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// `None` if it is neither.
fn or_none<T: FromStr>(text: &str) -> Option<Option<T>> {
    if text == "-" { Some(None) } else { text.parse().ok().map(Some) }
}

fn bytes(hex: &str) -> Option<[u8; 32]> {
    let digit = |at: usize| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes = (0..32).map(digit).collect::<Option<Vec<_>>>()?;
    bytes.try_into().ok().filter(|_| hex.len() == 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_checkpoint_is_read_as_it_was_written_and_nothing_else_is() {
        let genesis = Checkpoint::genesis(3, "a log", Partition(1));
        let mut later = genesis.succeed(journal::Checkpoint { next: 9, head_offset: Some(8), ..genesis.at });
        later.at.incarnation = Some(Incarnation(Uuid::from_u128(7)));
        for checkpoint in [genesis, later] {
            let text = written(&checkpoint);
            assert_eq!(read(&text), Ok((checkpoint.generation, checkpoint.revision, checkpoint.at)));
            for other in [text.replace(' ', "  "), format!("{text} 1"), text[1..].to_owned(), text[..60].to_owned()] {
                assert!(read(&other).is_err(), "{other}");
            }
        }
    }
}
