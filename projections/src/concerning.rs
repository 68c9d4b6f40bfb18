//! Whether what is parked may concern a person: a deletion must not end before it is known.

use crate::projections::{ParkedKey, Projections};
use events::UserId;
use journal::{JournalError, Offset, Partition};

impl Projections {
    /// A parked key of which a commit that waits names the person, in whatever field; it is not in the read model, and
    /// would be once the key is retried. Only these read models are looked at.
    pub async fn parked_concerning(&self, user: UserId, models: &[&str]) -> Result<Option<ParkedKey>, JournalError> {
        let name = user.to_string();
        for model in self.models().filter(|model| models.contains(&model.name())) {
            for partition in self.partitions() {
                let parked = model.checkpoint(partition).map(|checkpoint| checkpoint.parked).unwrap_or_default();
                for (key, parked) in parked {
                    for offset in &parked.offsets {
                        if self.is_named(partition, *offset, &name).await? {
                            return Ok(Some(ParkedKey::of(model.name(), partition, key, parked)));
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// Whether the record has this text in its key or in its value, where ids are plain.
    async fn is_named(&self, partition: Partition, offset: Offset, name: &str) -> Result<bool, JournalError> {
        let records = self.journal().read(partition, offset, 1).await?;
        let has = |text: &[u8]| text.windows(name.len()).any(|window| window == name.as_bytes());
        Ok(records.first().is_some_and(|record| has(&record.draft.key) || has(&record.draft.value)))
    }
}
