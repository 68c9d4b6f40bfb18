//! Every released shape of every event, as it stands in somebody's log: it can be read for ever.
//!
//! The files are never edited. A changed event gets a new version, a new file beside the old one, and an upcast.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tidings_events::{Commit, Event, PostEvent, WireError, wire};

fn golden(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn read(value: &Value) -> serde_json::Result<Event> {
    // Through text, as from the log: events borrow from what they are read from.
    serde_json::from_str(&value.to_string())
}

#[test]
fn every_version_of_every_event_has_a_file_and_can_be_read() {
    for (name, version) in wire::readable() {
        let event =
            read(&golden(&format!("{name}.v{version}.json"))).unwrap_or_else(|e| panic!("{name} {version}: {e}"));
        assert_eq!(event.wire_name().0, name);
    }
}

#[test]
fn every_file_is_of_an_event_that_can_be_read() {
    let known: BTreeSet<String> = wire::readable().map(|(name, version)| format!("{name}.v{version}.json")).collect();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name) || name == "commit.json", "{name}");
    }
}

#[test]
fn a_current_event_is_written_as_its_file_says() {
    for (name, version) in Event::TYPES {
        let file = golden(&format!("{name}.v{version}.json"));
        assert_eq!(serde_json::to_value(read(&file).unwrap()).unwrap(), file);
    }
}

#[test]
fn a_post_of_version_1_is_one_without_mentions() {
    let Event::Post(PostEvent::Published(old)) = read(&golden("post.published.v1.json")).unwrap() else {
        panic!("not a post")
    };
    assert!(old.hashtags.is_some());
    assert_eq!(old.mentions, None);
    assert_eq!(Event::from(old).wire_name(), ("post.published", 2), "written again, it is of the present version");
}

#[test]
fn a_commit_is_read_and_written_as_its_file_says() {
    let file = golden("commit.json");
    let commit = Commit::decode(file.to_string().as_bytes()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&commit.encode()).unwrap(), file);
}

#[test]
fn an_unknown_event_stops_the_reader_by_name() {
    let mut file = golden("commit.json");
    file["events"][0]["type"] = "like.added_twice".into();
    let error = Commit::decode(file.to_string().as_bytes()).unwrap_err();
    assert_eq!(error, WireError::UnknownEvent { name: "like.added_twice".to_owned(), version: 1 });
    let mut file = golden("commit.json");
    file["events"][0]["version"] = 2.into();
    let error = Commit::decode(file.to_string().as_bytes()).unwrap_err();
    assert_eq!(error, WireError::UnknownEvent { name: "like.added".to_owned(), version: 2 });
}

#[test]
fn what_is_no_commit_is_said_to_be_none() {
    for bytes in [&b""[..], b"{}", b"[1]", b"\xff\xfe", b"{\"command\": 1}"] {
        assert!(matches!(Commit::decode(bytes), Err(WireError::Malformed(_))));
    }
    let mut file = golden("commit.json");
    file["events"][0]["data"]["post"] = "not an id".into();
    assert!(matches!(Commit::decode(file.to_string().as_bytes()), Err(WireError::Malformed(_))));
}
