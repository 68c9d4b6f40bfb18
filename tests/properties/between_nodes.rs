//! What nodes tell each other: whatever arrives is read as it was written, or refused by name. Nothing makes a node panic.
//! (That every command and every answer is read as it was written is checked by the simulation, which sends all of them.)

use commands::wire::{
    BATCH_BYTES_MAX, BATCH_REQUESTS_MAX, Reply, WireError, read_batch, read_reply, write_batch, write_reply,
};
use commands::{Answer, LikeCommand, REQUEST_DEADLINE_MAX, Request, SessionCommand};
use events::{CommandId, Key, PostId, SessionId, Timestamp, UserId};
use journal::Partition;
use proptest::prelude::*;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

fn request(n: u128) -> Request {
    let post = PostId(Uuid::from_u128(n));
    let like = LikeCommand::Add { post, user: UserId(Uuid::from_u128(n + 1)) };
    let deadline = Instant::now() + Duration::from_secs(5);
    Request::new(CommandId(Uuid::from_u128(n)), Key::Post(post), like, Timestamp(7), deadline)
}

fn batch(of: u128) -> Vec<u8> {
    let requests = (0..of).map(request).collect::<Vec<_>>();
    let numbered = requests.iter().zip(0..).map(|(request, n)| (Partition(n), request));
    write_batch(numbered).unwrap().into()
}

proptest! {
    #[test]
    fn a_batch_with_changed_bytes_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = batch(3);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(read) = read_batch(&bytes) {
            prop_assert!(read.len() <= 3 * 20);
            for (_, request) in read {
                prop_assert!(request.deadline <= Instant::now() + REQUEST_DEADLINE_MAX);
            }
        }
        let _ = read_reply(&bytes);
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read_batch(&bytes).is_err());
        prop_assert!(read_reply(&bytes).is_err());
    }
}

#[test]
fn a_batch_has_its_limits() {
    let most = u128::try_from(BATCH_REQUESTS_MAX).unwrap();
    assert_eq!(read_batch(&batch(most)).unwrap().len(), BATCH_REQUESTS_MAX);
    let requests = (0..=most).map(request).collect::<Vec<_>>();
    assert_eq!(write_batch(requests.iter().map(|request| (Partition(0), request))), Err(WireError::TooLarge));
    let mut one_more = batch(most);
    let line = one_more.split(|byte| *byte == b'\n').nth(1).unwrap().to_vec();
    one_more.extend(line);
    assert_eq!(read_batch(&one_more).err(), Some(WireError::TooLarge));
    assert_eq!(read_batch(&vec![b' '; BATCH_BYTES_MAX + 1]).err(), Some(WireError::TooLarge));
}

#[test]
fn another_version_is_named() {
    let text = String::from_utf8(batch(1)).unwrap();
    let newer = text.replacen("\"tidings\":2", "\"tidings\":3", 1);
    assert_eq!(read_batch(newer.as_bytes()).err(), Some(WireError::Version(3)));
    let without = text.split_once('\n').unwrap().1;
    assert!(matches!(read_batch(without.as_bytes()), Err(WireError::Malformed(_))));
}

#[test]
fn nobody_asks_for_longer_than_anybody_may() {
    let long = Request { deadline: Instant::now() + REQUEST_DEADLINE_MAX * 100, ..request(1) };
    let read = read_batch(&write_batch([(Partition(0), &long)]).unwrap()).unwrap();
    assert!(read[0].1.deadline <= Instant::now() + REQUEST_DEADLINE_MAX);
}

/// Two versions in one cluster, during an upgrade, must understand or refuse each other: what is written may not change
/// unless the version does.
#[test]
fn what_is_written_is_what_it_was() {
    let (user, session) = (UserId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)));
    let end = SessionCommand::Close { user, session };
    let request = Request::new(CommandId(Uuid::from_u128(3)), Key::User(user), end, Timestamp(4), Instant::now());
    let text = String::from_utf8(write_batch([(Partition(5), &request)]).unwrap().into()).unwrap();
    let expected = concat!(
        "{\"tidings\":2}\n",
        "{\"partition\":5,\"id\":\"00000000-0000-0000-0000-000000000003\",",
        "\"key\":\"user:00000000-0000-0000-0000-000000000001\"",
    );
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(&write_reply(7, Reply::NotHere)[..], b"{\"n\":7,\"reply\":\"not_here\"}");
    assert_eq!(&write_reply(8, Reply::Answer(Answer::Unknown))[..], b"{\"n\":8,\"reply\":{\"answer\":\"unknown\"}}");
}
