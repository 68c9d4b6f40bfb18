//! One contract suite per port, over every implementation.

#![expect(clippy::unwrap_used, reason = "what fails here is a test")]

mod crash;
mod directory;
mod embedded;
mod kafka;
mod kafka_refusals;
mod pool;
mod postgres;
mod simulated;
mod slots;

tidings_tests::journal_contract!(embedded_log: crate::embedded::EmbeddedUnderTest);
tidings_tests::journal_contract!(kafka_log: crate::kafka::KafkaUnderTest);
tidings_tests::journal_contract!(simulated_log: crate::simulated::SimulatedUnderTest);
tidings_tests::keyring_contract!(embedded_keyring: crate::embedded::EmbeddedUnderTest);
tidings_tests::keyring_contract!(memory_keyring: crate::simulated::MemoryUnderTest);
tidings_tests::keyring_contract!(postgres_keyring: crate::postgres::PostgresUnderTest);
tidings_tests::ownership_contract!(static_ownership: crate::embedded::StaticUnderTest);
tidings_tests::ownership_contract!(group_ownership: crate::kafka::GroupUnderTest);
tidings_tests::owner_contract!(owners_of_kafka_log: crate::kafka::KafkaUnderTest);
tidings_tests::owner_contract!(owners_of_embedded_log: crate::embedded::EmbeddedUnderTest);
tidings_tests::owner_contract!(owners_of_simulated_log: crate::simulated::SimulatedUnderTest);
tidings_tests::saga_contract!(sagas_on_kafka: crate::kafka::KafkaUnderTest, EachOnce);
tidings_tests::saga_contract!(sagas_embedded: crate::embedded::EmbeddedUnderTest, NoMinutes);
