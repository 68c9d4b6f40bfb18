//! The contract of a log that is not damaged.

use super::LogUnderTest;
use super::scribe::{P, Scribe, acknowledged, noise, stored, told, valid};
use bytes::Bytes;
use events::{BioChanged, Commit, Incarnation, Key, Retention, Timestamp, UserEvent, UserId};
use futures::future::join_all;
use journal::{Head, JournalError, Kind, Partition, Reader, Record, verify};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Empty and long values, any bytes in them.
pub async fn what_is_appended_is_read_back_byte_for_byte_in_order<L: LogUnderTest>() {
    let log = L::create(2).await;
    let mut scribe = Scribe::claim(&log.journal(), P).await;
    let mut drafts = Vec::new();
    for (length, n) in [0, 1, 2, 255, 256, 4_095, 4_096, 65_536, 300_000, Commit::ENCODED_MAX].into_iter().zip(0..) {
        let key = Bytes::from(noise(n, n as usize * 7));
        drafts.push(scribe.chain(Kind::Commit, key, Bytes::from(noise(n, length))));
    }
    let receipts: Vec<_> = drafts.iter().map(|draft| scribe.hand_over(draft.clone())).collect();
    for receipt in receipts {
        receipt.await.unwrap();
    }
    for journal in [log.journal(), log.other()] {
        let found: Vec<_> = stored(&journal, P).await.unwrap().into_iter().skip(1).map(|record| record.draft).collect();
        assert!(found == drafts, "what was read differs from what was appended");
    }
}

/// The offset of the n-th record is n.
pub async fn receipts_count_up_without_gaps<L: LogUnderTest>() {
    let log = L::create(1).await;
    let mut scribe = Scribe::claim(&log.journal(), P).await;
    let receipts: Vec<_> = (0..500).map(|n| scribe.append(format!("{n}"))).collect();
    assert_eq!(acknowledged(receipts).await, (1..=500).collect::<Vec<_>>());
}

/// Asked for after a receipt, from anywhere.
pub async fn the_end_counts_every_receipt<L: LogUnderTest>() {
    let log = L::create(1).await;
    let mut scribe = Scribe::claim(&log.journal(), P).await;
    for n in 0..50 {
        let offset = scribe.append(format!("{n}")).await.unwrap();
        assert!(log.journal().end(P).await.unwrap() > offset);
        assert!(log.other().end(P).await.unwrap() > offset);
    }
}

/// With its bytes, and the chain goes on.
pub async fn what_was_acknowledged_survives_a_reopen<L: LogUnderTest>() {
    let (log, before) = with_some_records::<L>().await;
    let log = log.reopen().await.unwrap();
    goes_on_from(&log, before).await;
}

/// With its bytes, and the chain goes on.
pub async fn what_was_acknowledged_survives_a_crash<L: LogUnderTest>() {
    let (log, before) = with_some_records::<L>().await;
    let Some(log) = log.crash().await.done() else { return };
    goes_on_from(&log.unwrap(), before).await;
}

async fn with_some_records<L: LogUnderTest>() -> (L, Vec<Record>) {
    let log = L::create_alone(2).await;
    let mut scribe = Scribe::claim(&log.journal(), P).await;
    let receipts: Vec<_> = (0..300).map(|n| scribe.append(noise(n, 300))).collect();
    acknowledged(receipts).await;
    let before = stored(&log.journal(), P).await.unwrap();
    assert_eq!(before.len(), 301);
    (log, before)
}

async fn goes_on_from<L: LogUnderTest>(log: &L, before: Vec<Record>) {
    let journal = log.journal();
    assert!(stored(&journal, P).await.unwrap() == before, "what was read differs from what was there before");
    assert_eq!(journal.end(P).await.unwrap(), 301);
    let mut scribe = Scribe::claim(&journal, P).await;
    assert_eq!(scribe.append("after").await.unwrap(), 302);
    assert_eq!(valid(&journal, P).await.unwrap().len(), 303);
}

/// A lost wake-up would show as a wait of a second; the wait begins before, while and after the record lands.
pub async fn a_reader_that_waits_is_woken_by_every_record<L: LogUnderTest>() {
    let log = L::create(1).await;
    let mut scribe = Scribe::claim(&log.journal(), P).await;
    for round in 0..300 {
        let journal = log.other();
        let next = scribe.next();
        let receipt = (round % 3 == 0).then(|| scribe.append("early"));
        let waiter = tokio::spawn(async move {
            while journal.end(P).await.unwrap() <= next {
                journal.wait_past(P, next).await.unwrap();
            }
            Instant::now()
        });
        if round % 3 == 1 {
            tokio::task::yield_now().await;
        }
        receipt.unwrap_or_else(|| scribe.append("late")).await.unwrap();
        let acknowledged = Instant::now();
        let late = waiter.await.unwrap().saturating_duration_since(acknowledged);
        assert!(late < Duration::from_millis(700), "round {round}: woken {late:?} after the receipt");
    }
}

/// The end is where the next record will stand.
pub async fn a_read_at_the_end_is_empty_and_one_past_it_is_divergence<L: LogUnderTest>() {
    let log = L::create(1).await;
    let journal = log.journal();
    assert_eq!(journal.end(P).await.unwrap(), 0);
    assert!(journal.read(P, 0, 10).await.unwrap().is_empty());
    let mut scribe = Scribe::claim(&journal, P).await;
    scribe.append("one").await.unwrap();
    assert!(journal.read(P, 2, 10).await.unwrap().is_empty());
    for past in [3, 4, 1_000_000] {
        assert!(matches!(journal.read(P, past, 10).await, Err(JournalError::Diverged { partition: P, .. })), "{past}");
    }
}

/// And from where it was asked.
pub async fn a_read_returns_as_many_records_as_asked_for_at_most<L: LogUnderTest>() {
    let log = L::create(1).await;
    let journal = log.journal();
    let mut scribe = Scribe::claim(&journal, P).await;
    acknowledged((0..200).map(|n| scribe.append(format!("{n}")))).await;
    for (from, records_max) in [(0, 1), (5, 10), (0, 150), (190, 1), (200, 9)] {
        let read = journal.read(P, from, records_max).await.unwrap();
        assert!(!read.is_empty() && read.len() <= records_max, "{from} {records_max}: {}", read.len());
        assert!(read.iter().zip(from..).all(|(record, offset)| record.offset == offset), "{from} {records_max}");
    }
}

/// Each has its own offsets and its own genesis.
pub async fn partitions_are_independent<L: LogUnderTest>() {
    let log = L::create(3).await;
    let journal = log.journal();
    assert_eq!(journal.partitions(), 3);
    for (partition, count) in [(0, 5), (2, 3)].map(|(n, count)| (Partition(n), count)) {
        let mut scribe = Scribe::claim(&journal, partition).await;
        for n in 0..count {
            assert_eq!(scribe.append(format!("{n}")).await.unwrap(), n + 1);
        }
    }
    let mut lengths = Vec::new();
    for n in 0..3 {
        lengths.push(valid(&journal, Partition(n)).await.unwrap().len());
    }
    assert_eq!(lengths, [6, 0, 4]);
    let first = |records: Vec<Record>| records[0].draft.prev;
    let heads = [first(stored(&journal, P).await.unwrap()), first(stored(&journal, Partition(2)).await.unwrap())];
    assert_ne!(heads[0], heads[1]);
}

/// A record of one must never fit into another.
pub async fn no_two_logs_have_the_same_name<L: LogUnderTest>() {
    let (one, two) = (L::create(1).await, L::create(1).await);
    assert_eq!(one.journal().log(), one.other().log());
    let (Some(one), Some(two)) = (one.name_among_others().done(), two.name_among_others().done()) else { return };
    assert_ne!(one, two);
}

/// Both read the same head and claim at the same time; every reader names the same winner.
pub async fn of_two_appenders_racing_for_one_head_exactly_one_wins<L: LogUnderTest>() {
    let log = L::create(1).await;
    for round in 1..=30 {
        let (mut one, one_claim) = Scribe::about_to_claim(&log.journal(), P).await;
        let (mut two, two_claim) = Scribe::about_to_claim(&log.other(), P).await;
        let chains = [one_claim.chain, two_claim.chain];
        let (one, two) = tokio::join!(tokio::spawn(async move { one.hand_over(one_claim).await }), async move {
            two.hand_over(two_claim).await
        });
        let offsets = [one.unwrap().unwrap(), two.unwrap()];
        let winner = valid(&log.journal(), P).await.unwrap();
        assert_eq!(winner.len(), round);
        let first = if offsets[0] < offsets[1] { chains[0] } else { chains[1] };
        assert_eq!(winner.last().unwrap().draft.chain, first);
        assert!(valid(&log.other(), P).await.unwrap() == winner, "two readers disagree");
    }
}

/// The claim lands first.
pub async fn a_claim_voids_what_a_zombie_has_in_flight<L: LogUnderTest>() {
    let log = L::create(1).await;
    let mut zombie = Scribe::claim(&log.journal(), P).await;
    zombie.append("before").await.unwrap();
    let late: Vec<_> = (0..3).map(|n| zombie.draft(format!("late {n}"))).collect();
    let mut owner = Scribe::claim(&log.other(), P).await;
    let receipts: Vec<_> = late.into_iter().map(|draft| zombie.hand_over(draft)).collect();
    acknowledged(receipts).await;
    owner.append("after").await.unwrap();
    assert_eq!(told(&log.journal(), P).await, ["before", "after"]);
    assert_eq!(told(&log.other(), P).await, ["before", "after"]);
    assert_eq!(log.journal().end(P).await.unwrap(), 7);
}

/// The zombie's record lands before the claim, which extends the head that it took: the claimant must look again.
pub async fn a_zombie_that_comes_first_voids_the_claim<L: LogUnderTest>() {
    let log = L::create(1).await;
    let mut zombie = Scribe::claim(&log.journal(), P).await;
    let (mut claimant, claim) = Scribe::about_to_claim(&log.other(), P).await;
    let expected = claimant.next() - 1;
    zombie.append("first").await.unwrap();
    let offset = claimant.hand_over(claim).await.unwrap();
    assert_ne!(offset, expected, "the offset tells the claimant that somebody was faster");
    claimant.append("never").await.unwrap();
    assert_eq!(told(&log.journal(), P).await, ["first"]);
    let mut owner = Scribe::claim(&log.other(), P).await;
    zombie.append("too late").await.unwrap();
    owner.append("second").await.unwrap();
    assert_eq!(told(&log.journal(), P).await, ["first", "second"]);
}

/// What came after a lost record does not extend the head.
pub async fn a_lost_batch_leaves_no_hole<L: LogUnderTest>() {
    let log = L::create(1).await;
    let mut scribe = Scribe::claim(&log.journal(), P).await;
    scribe.append("one").await.unwrap();
    drop([scribe.draft("lost"), scribe.draft("lost too")]);
    scribe.append("two").await.unwrap();
    scribe.append("three").await.unwrap();
    assert_eq!(told(&log.journal(), P).await, ["one"]);
    let mut next = Scribe::claim(&log.journal(), P).await;
    next.append("four").await.unwrap();
    assert_eq!(told(&log.journal(), P).await, ["one", "four"]);
}

/// Whatever the implementation purges: what counts is a beginning of what was handed over, with every receipt in it.
pub async fn what_a_dropped_appender_had_in_flight_is_a_prefix<L: LogUnderTest>() {
    let log = L::create(1).await;
    for round in 0..20 {
        let mut scribe = Scribe::claim(&log.journal(), P).await;
        let before = told(&log.journal(), P).await.len();
        let receipts: Vec<_> = (0..200).map(|n| scribe.append(format!("{round} {n}"))).collect();
        drop(scribe);
        let acknowledged = join_all(receipts).await.into_iter().filter(Result::is_ok).count();
        // The next claim ends what may still come.
        let mut next = Scribe::about_to_claim(&log.other(), P).await;
        while {
            let expected = next.0.next() - 1;
            next.0.hand_over(next.1).await.unwrap() != expected
        } {
            next = Scribe::about_to_claim(&log.other(), P).await;
        }
        let told = told(&log.journal(), P).await;
        let told = &told[before..];
        assert!(told.len() >= acknowledged, "round {round}: {} of {acknowledged}", told.len());
        assert!(told.iter().zip(0..).all(|(value, n)| *value == format!("{round} {n}")), "round {round}: {told:?}");
    }
}

/// How an owner learns what became of a record that did not land where it should.
pub async fn an_unexpected_offset_leads_to_the_own_record_in_the_gap<L: LogUnderTest>() {
    let log = L::create(1).await;
    let mut owner = Scribe::claim(&log.journal(), P).await;
    let (mut stranger, _) = Scribe::about_to_claim(&log.other(), P).await;
    stranger.append("void").await.unwrap();
    let expected = owner.next();
    let mut reader = Reader::from_start(log.journal(), P).await.unwrap();
    assert_eq!(reader.records().await.unwrap().len(), 1);
    let offset = owner.append("mine").await.unwrap();
    assert_eq!(offset, expected + 1);
    let found = reader.records().await.unwrap();
    assert_eq!(chains(&found), [owner.head()], "the stranger's record is void, the own one is there and valid");
    drop(owner.draft("lost"));
    owner.append("extends what was lost").await.unwrap();
    assert!(reader.records().await.unwrap().is_empty(), "the own record is there and void");
}

fn chains(records: &[(Record, journal::Checkpoint)]) -> Vec<Head> {
    records.iter().map(|(record, _)| record.draft.chain).collect()
}

/// Whether or not their records count; and each stands where its receipt says.
pub async fn many_writers_at_once_each_keep_their_order<L: LogUnderTest>() {
    let log = L::create(4).await;
    let mut writers = Vec::new();
    for writer in 0..64u32 {
        let journal = log.journal();
        let partition = Partition(writer % 4);
        let (mut scribe, _) = Scribe::about_to_claim(&journal, partition).await;
        writers.push(tokio::spawn(async move {
            let mut receipts = Vec::new();
            for n in 0..40 {
                receipts.push(scribe.append(format!("{writer} {n}")));
                if n % 8 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            (partition, writer, join_all(receipts).await)
        }));
    }
    let mut offsets = Vec::new();
    for writer in writers {
        offsets.push(writer.await.unwrap());
    }
    for (partition, writer, receipts) in offsets {
        let records = stored(&log.other(), partition).await.unwrap();
        assert_eq!(records.len(), 16 * 40);
        let mut last = None;
        for (receipt, n) in receipts.into_iter().zip(0..) {
            let offset = receipt.unwrap();
            assert!(last < Some(offset), "writer {writer} record {n}");
            last = Some(offset);
            let found = &records[usize::try_from(offset).unwrap()].draft.value;
            assert_eq!(*found, format!("{writer} {n}"));
        }
    }
}

/// After a reopen too, past void records, and at the very beginning.
pub async fn a_checkpoint_goes_on_where_it_was_taken<L: LogUnderTest>() {
    let log = L::create(1).await;
    let mut reader = Reader::from_start(log.journal(), P).await.unwrap();
    let beginning = reader.checkpoint();
    let mut scribe = Scribe::claim(&log.journal(), P).await;
    scribe.append("one").await.unwrap();
    drop(scribe.draft("lost"));
    scribe.append("void").await.unwrap();
    while !reader.records().await.unwrap().is_empty() {}
    let checkpoint = reader.checkpoint();
    assert_eq!((checkpoint.next, checkpoint.head_offset), (3, Some(1)));
    drop((reader, scribe));
    let log = log.reopen().await.unwrap();
    let mut scribe = Scribe::claim(&log.journal(), P).await;
    scribe.append("two").await.unwrap();
    let mut reader = Reader::resume(log.journal(), P, checkpoint).await.unwrap();
    assert_eq!(count(&mut reader).await, 2, "the claim and what follows it");
    let mut reader = Reader::resume(log.journal(), P, beginning).await.unwrap();
    assert_eq!(count(&mut reader).await, 4);
}

/// How many valid records there are from where the reader stands; one read need not return all of them.
async fn count(reader: &mut Reader) -> usize {
    let mut count = 0;
    loop {
        match reader.records().await.unwrap().len() {
            0 => return count,
            more => count += more,
        }
    }
}

/// Shorter or with another record there.
pub async fn a_checkpoint_of_another_log_diverges<L: LogUnderTest>() {
    let log = L::create(1).await;
    let mut scribe = Scribe::claim(&log.journal(), P).await;
    scribe.append("one").await.unwrap();
    let mut reader = Reader::from_start(log.journal(), P).await.unwrap();
    while !reader.records().await.unwrap().is_empty() {}
    let checkpoint = reader.checkpoint();
    let replaced = L::create(1).await;
    let resume = || Reader::resume(replaced.journal(), P, checkpoint);
    assert!(matches!(resume().await.err(), Some(JournalError::Diverged { partition: P, offset: 0, .. })), "shorter");
    let mut scribe = Scribe::claim(&replaced.journal(), P).await;
    scribe.append("one").await.unwrap();
    scribe.append("two").await.unwrap();
    assert!(matches!(resume().await.err(), Some(JournalError::Diverged { partition: P, offset: 1, .. })), "another");
}

/// And names the first record that cannot be understood.
pub async fn verification_counts_what_is_there<L: LogUnderTest>() {
    let log = L::create(2).await;
    let journal = log.journal();
    let user = UserId(Uuid::from_u128(7));
    let key = Bytes::from(Key::User(user).to_string());
    let mut scribe = Scribe::claim(&journal, P).await;
    for ordinal in 0..3 {
        let commit = Bytes::from(a_commit(ordinal, user, scribe.incarnation()).encode());
        let draft = scribe.chain(Kind::Commit, key.clone(), commit);
        scribe.hand_over(draft).await.unwrap();
    }
    let head = scribe.head();
    drop(scribe.draft("lost"));
    scribe.append("void").await.unwrap();
    let mut seen = Vec::new();
    let mut found = verify(&journal, |partition, offset| seen.push((partition, offset))).await.into_iter();
    let (first, verified) = found.next().unwrap();
    let verified = verified.unwrap();
    assert_eq!((first, verified.records, verified.valid, verified.void, verified.claims), (P, 5, 4, 1, 1));
    assert_eq!(verified.head, head);
    assert!(verified.anchor.is_none_or(|anchor| anchor.head == head));
    assert_eq!(found.next().unwrap().1.unwrap().records, 0);
    assert!(seen.contains(&(P, 5)), "{seen:?}");

    let mut scribe = Scribe::claim(&journal, P).await;
    let offset = scribe.append("not a commit").await.unwrap();
    let found = verify(&journal, |_, _| {}).await;
    assert!(matches!(&found[0].1, Err(JournalError::Unreadable { position, .. }) if position.offset == offset));
}

fn a_commit(ordinal: u64, user: UserId, incarnation: Incarnation) -> Commit {
    Commit {
        command: events::CommandId(Uuid::from_u128(ordinal.into())),
        ordinal,
        incarnation,
        time: Timestamp(0),
        actor: None,
        correlation: Uuid::nil(),
        causation: None,
        retention: Retention::Short,
        fingerprint: None,
        undoes: None,
        events: vec![UserEvent::BioChanged(BioChanged { user, bio: None }).into()],
    }
}
