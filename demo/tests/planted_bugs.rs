//! The demo against a small server of known quality: of a correct one it must report nothing, also when that is killed
//! on the way, and of each bug that is planted at least one difference.

#![expect(clippy::unwrap_used, reason = "a test fails where something fails")]

#[path = "planted_bugs/fake.rs"]
mod fake;
#[path = "planted_bugs/http.rs"]
mod http;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tidings_demo::{Options, OwnServer, Report, Source, Target, run};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use fake::{Bug, Fake};

async fn served(bug: Bug, seed: u64) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(http::serve(listener, Arc::new(Mutex::new(Fake::new(bug)))));
    let mut options = Options::new(Target::Running(url), Source::People(14));
    options.seed = seed;
    options.renames = Some(4);
    let report = run(options).await.unwrap();
    server.abort();
    report
}

#[tokio::test]
async fn a_correct_server_has_no_difference() {
    for seed in 1..4 {
        let report = served(Bug::None, seed).await;
        assert_eq!((report.differences(), report.lost(), report.doubled()), (0, 0, 0), "{report}");
        assert!(report.checks() > 20_000, "{report}");
    }
}

#[tokio::test]
async fn who_gets_no_answer_to_their_deletion_has_left_and_has_no_ticket() {
    let report = served(Bug::LeaveUnanswered, 1).await;
    assert_eq!((report.differences(), report.longest_deletion()), (0, None), "{report}");
    assert!(report.acts().contains(&("leaves", 3)), "{report}");
}

#[tokio::test]
async fn every_lost_write_is_counted_as_lost() {
    use Bug::*;
    let bugs = [LostPost, LostLike, LostFollow, LostEdit, LostBio, LostUnfollow, IgnoredUnlike, IgnoredCommentDeletion];
    for bug in bugs.into_iter().chain([DeletedPostAnswered, PostOfWhoLeftInFeed, MentionOfWhoLeft]) {
        let report = served(bug, 1).await;
        assert!(report.lost() > 0, "{bug:?}: {report}");
    }
}

#[tokio::test]
async fn every_doubled_write_is_counted_as_doubled() {
    for bug in [Bug::DoubledComment, Bug::DoubledPostForKey, Bug::RepeatedAtBorder] {
        let report = served(bug, 1).await;
        assert!(report.doubled() > 0, "{bug:?}: {report}");
    }
}

#[tokio::test]
async fn every_other_bug_is_a_difference_that_names_it() {
    use Bug::*;
    for (bug, word) in [
        (DeletedPostListed, "still lists"),
        (CommentsCountAfterDeletion, "comments_count"),
        (FollowerCount, "follower_count"),
        (LikedByMeOfAnother, "liked_by_me"),
        (SkippedAtBorder, "not listed at position"),
        (CursorAtEnd, "a cursor led to an empty page"),
        (NoCursor, "not listed at position"),
        (PageTooLong, "more than"),
        (NoLink, "Link"),
        (FeedOldestFirst, "out of order"),
        (FollowersByName, "out of order"),
        (ForeignPostInFeed, "does not belong here"),
        (OwnPostsNotInFeed, "not listed at position"),
        (StaleAuthorName, "author.username"),
        (HashtagsRepeated, "hashtags"),
        (HashtagInsideWord, "hashtags"),
        (MentionLeftOut, "mentions"),
        (NeverEdited, "edited_at"),
        (EmailShown, "shows an address"),
        (ViewerMirrored, "viewer.followed_by"),
        (AnybodyEdits, "expected 403"),
        (TokenOutlivesLogout, "the token is answered 200"),
        (LogoutEverywhere, "the token of another session is answered 401"),
        (OtherTimeInList, "created_at"),
        (TokenOutlivesDeletion, "has left, and another session's token is answered 200"),
        (CommentOfWhoLeftCounted, "comments_count"),
        (PostOfWhoLeftInFeed, "still lists"),
        (MentionOfWhoLeft, "still mentions them"),
        (TicketForgotten, "the ticket does not tell"),
        (AddressStaysTaken, "registering as they did is answered 409"),
    ] {
        let report = served(bug, 1).await;
        assert!(report.lines().iter().any(|line| line.contains(word)), "{bug:?}: {report}");
    }
}

const ROLE: &str = "TIDINGS_DEMO_FAKE_SERVES";

/// A server of our own that is this test binary, as [`the_fake_serves_when_it_is_told_to`].
fn own(home: &Path, bug: &str) -> OwnServer {
    let exe = home.join("server.sh");
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\nARGUMENTS=\"$*\" exec {} --exact the_fake_serves_when_it_is_told_to --nocapture\n",
        test.display()
    );
    std::fs::write(&exe, script).unwrap();
    std::fs::set_permissions(&exe, std::fs::Permissions::from_mode(0o755)).unwrap();
    let env = vec![(ROLE.to_owned(), bug.to_owned())];
    OwnServer { exe, data: home.join("data"), log: None, args: Vec::new(), env }
}

/// Not a test of its own: the server process of the tests below, which is killed for real.
#[tokio::test]
async fn the_fake_serves_when_it_is_told_to() {
    let Ok(bug) = std::env::var(ROLE) else { return };
    let arguments = std::env::var("ARGUMENTS").unwrap();
    let words: Vec<&str> = arguments.split(' ').collect();
    let ["serve", "--data", data, "--listen", address] = words[..] else { panic!("{arguments}") };
    let journal = Path::new(data).join("writes");
    if bug == "forgets" && journal.exists() {
        let kept = std::fs::read_to_string(&journal).unwrap();
        let lines: Vec<&str> = kept.lines().collect();
        std::fs::write(&journal, lines[..lines.len() - lines.len().min(40)].join("\n")).unwrap();
    }
    let fake = Fake::journaled(&journal, Bug::None);
    let listener = TcpListener::bind(address).await.unwrap();
    let mut term = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        () = http::serve(listener, Arc::new(Mutex::new(fake))) => {}
        _ = term.recv() => std::process::exit(if bug == "fails" { 3 } else { 0 }),
    }
}

async fn killed(name: &str, kills: usize) -> Report {
    let home = std::env::temp_dir().join(format!("tidings-demo-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let mut options =
        Options::new(Target::Own { nodes: vec![own(&home, name)], services: Vec::new() }, Source::People(14));
    options.kills = kills;
    let report = run(options).await.unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    report
}

#[tokio::test]
async fn a_server_that_is_killed_and_keeps_its_promises_has_no_difference() {
    let report = killed("keeps", 5).await;
    assert_eq!(report.differences(), 0, "{report}");
    assert_eq!(report.kills().len(), 5, "{report}");
}

#[tokio::test]
async fn a_server_that_forgets_its_last_writes_when_killed_has_lost_them() {
    let report = killed("forgets", 1).await;
    assert!(report.lost() > 0 || report.doubled() > 0, "{report}");
}

#[tokio::test]
async fn a_server_that_fails_when_it_is_stopped_has_a_difference() {
    let report = killed("fails", 0).await;
    assert_eq!(report.differences(), 1, "{report}");
}
