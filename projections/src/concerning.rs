//! Whether what is parked may concern a person: a deletion must not end before it is known.
//!
//! Tens of thousands of commits may wait, for several read models at once. Each is looked at once, and those that stand
//! near each other are read together.

use crate::projections::{ParkedKey, Projections};
use events::UserId;
use journal::{JournalError, Offset, Partition, Record};
use std::collections::BTreeMap;

/// How far two offsets may lie apart to be read together: to read the records between costs less than to ask once more.
const GAP_MAX: Offset = 64;
/// Records of one read, those between included.
const RECORDS_MAX: Offset = 512;

/// What waits in one partition.
#[derive(Default)]
struct Waiting {
    keys: Vec<ParkedKey>,
    /// Which of the keys waits there; of several read models the first.
    offsets: BTreeMap<Offset, usize>,
}

impl Projections {
    /// A parked key of which a commit that waits names the person, in whatever field; it is not in the read model, and
    /// would be once the key is retried. Only these read models are looked at.
    pub async fn parked_concerning(&self, user: UserId, models: &[&str]) -> Result<Option<ParkedKey>, JournalError> {
        let name = user.to_string();
        for partition in self.partitions() {
            let Waiting { mut keys, offsets } = self.waiting(partition, models);
            if let Some(index) = self.first_named(partition, &offsets, &name).await? {
                return Ok(Some(keys.swap_remove(index)));
            }
        }
        Ok(None)
    }

    fn waiting(&self, partition: Partition, models: &[&str]) -> Waiting {
        let mut waiting = Waiting::default();
        for model in self.names().filter(|model| models.contains(model)) {
            let Some(stored) = self.stored(model, partition) else { continue };
            for (key, parked) in &stored.parked {
                for offset in &parked.offsets {
                    waiting.offsets.entry(*offset).or_insert(waiting.keys.len());
                }
                waiting.keys.push(ParkedKey::of(model, partition, *key, parked));
            }
        }
        waiting
    }

    /// What stands beside the first of the offsets at which the record has this text.
    async fn first_named(
        &self,
        partition: Partition,
        offsets: &BTreeMap<Offset, usize>,
        name: &str,
    ) -> Result<Option<usize>, JournalError> {
        let all = offsets.keys().copied().collect::<Vec<_>>();
        let mut rest = all.as_slice();
        while let Some(from) = rest.first().copied() {
            let records = self.journal().read(partition, from, length_of_run(rest)).await?;
            let Some(last) = records.last() else {
                let what = "the log ends here, but a commit that is parked stood here".to_owned();
                return Err(JournalError::Diverged { partition, offset: from, what });
            };
            let waits = |record: &&Record| offsets.contains_key(&record.offset);
            if let Some(record) = records.iter().filter(waits).find(|record| is_named(record, name)) {
                return Ok(offsets.get(&record.offset).copied());
            }
            // A read may end before what was asked for.
            rest = &rest[rest.partition_point(|offset| *offset <= last.offset)..];
        }
        Ok(None)
    }
}

/// How many records from the first of the offsets on are read in one go: up to the last one that is near.
fn length_of_run(offsets: &[Offset]) -> usize {
    let Some(first) = offsets.first() else { return 0 };
    let near = offsets.windows(2).take_while(|pair| pair[1] - pair[0] <= GAP_MAX && pair[1] - first < RECORDS_MAX);
    let last = near.last().map_or(*first, |pair| pair[1]);
    usize::try_from(last - first + 1).expect("at most RECORDS_MAX")
}

/// Whether the record has this text in its key or in its value, where ids are plain.
fn is_named(Record { draft, .. }: &Record, name: &str) -> bool {
    let has = |text: &[u8]| text.windows(name.len()).any(|window| window == name.as_bytes());
    has(&draft.key) || has(&draft.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_near_is_read_together_up_to_a_limit() {
        assert_eq!(length_of_run(&[7]), 1);
        assert_eq!(length_of_run(&[7, 8, 8 + GAP_MAX]), 2 + usize::try_from(GAP_MAX).unwrap());
        assert_eq!(length_of_run(&[7, 8, 9 + GAP_MAX]), 2);
        let many = (7..10_000).collect::<Vec<_>>();
        assert_eq!(length_of_run(&many), usize::try_from(RECORDS_MAX).unwrap());
    }
}
