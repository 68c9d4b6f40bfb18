//! What somebody must see at once after a write of their own. Only what no concurrent act of somebody else can change is
//! asked for, so that a mismatch is always the server's.

use anyhow::Result;
use serde_json::{Value, json};

use crate::act::Act;
use crate::client::Call;
use crate::compare::compare;
use crate::listing::percent_encoded;
use crate::load::Actors;
use crate::model::Model;

/// So many pages of 100 are looked through for one item.
const PAGES_MAX: usize = 50;

/// One thing that the author of a write must see.
enum Sight {
    Body { path: String, expected: Value },
    Gone { path: String },
    Listed { path: String, array: &'static str, key: &'static str, id: String, listed: bool },
}

pub(crate) async fn read_back(actors: &Actors, act: Act, write: &Call) -> Result<()> {
    let reader = act.actor(&actors.plan);
    let sights = sights(&*actors.model.read().await, act).unwrap_or_default();
    for sight in sights {
        match sight {
            Sight::Body { path, expected } => {
                let answer = actors.sessions.get(Some(reader), path.as_str()).await?;
                let comparison = compare(&expected, &answer.body);
                actors.findings.checked(comparison.values);
                for mismatch in comparison.mismatches {
                    actors.findings.differ(format!("{write}, read back at once: GET {path}: {mismatch}"));
                }
            }
            Sight::Gone { path } => {
                let status = actors.sessions.get(Some(reader), path.as_str()).await?.status;
                actors.findings.check(status == 404, || {
                    format!("{write}, read back at once: GET {path}: expected 404, answered {status}")
                });
            }
            Sight::Listed { path, array, key, id, listed } => {
                let found = find(actors, reader, &path, array, key, &id).await?;
                actors.findings.check(found == listed, || {
                    let not = if listed { "not " } else { "still " };
                    format!("{write}, read back at once: GET {path}: {id} is {not}listed")
                });
            }
        }
    }
    Ok(())
}

async fn find(actors: &Actors, reader: usize, path: &str, array: &str, key: &str, id: &str) -> Result<bool> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let mut cursor = String::new();
    for _ in 0..PAGES_MAX {
        let answer = actors.sessions.get(Some(reader), format!("{path}{separator}limit=100{cursor}")).await?;
        if answer.body[array].as_array().is_some_and(|items| items.iter().any(|item| item[key] == id)) {
            return Ok(true);
        }
        match answer.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", percent_encoded(next)),
            None => return Ok(false),
        }
    }
    Ok(false)
}

/// `None` if the act is about something that was never acknowledged.
fn sights(model: &Model, act: Act) -> Option<Vec<Sight>> {
    let listed =
        |path: String, array, key, id: &str, listed| Sight::Listed { path, array, key, id: id.to_owned(), listed };
    let sights = match act {
        Act::Register { person } | Act::Bio { person, .. } | Act::Rename { person } => {
            vec![Sight::Body { path: "/users/me".to_owned(), expected: model.own_profile_without_counts(person) }]
        }
        Act::Follow { follower, followee } | Act::Unfollow { follower, followee } => {
            let (me, them) = (model.person_id(follower)?, model.person_id(followee)?);
            let following = model.follows(follower, followee);
            let expected = json!({"viewer": {"following": following}});
            vec![
                Sight::Body { path: format!("/users/{them}"), expected },
                listed(format!("/users/{me}/following"), "users", "id", them, following),
                listed(format!("/users/{them}/followers"), "users", "id", me, following),
            ]
        }
        Act::Publish { post } => {
            let author = model.plan.posts[post].author;
            let (id, author_id) = (model.post_id(post)?, model.person_id(author)?);
            vec![
                Sight::Body { path: model.post_path(post)?, expected: model.post(post, Some(author)) },
                listed(format!("/posts?author_id={author_id}"), "posts", "id", id, true),
                listed("/feed?mode=latest".to_owned(), "feed", "id", id, true),
            ]
        }
        Act::Edit { post, .. } => {
            vec![Sight::Body { path: model.post_path(post)?, expected: model.post_without_reactions(post) }]
        }
        Act::DeletePost { post } => {
            let author_id = model.person_id(model.plan.posts[post].author)?;
            vec![
                Sight::Gone { path: model.post_path(post)? },
                Sight::Gone { path: format!("{}/comments", model.post_path(post)?) },
                listed(format!("/posts?author_id={author_id}"), "posts", "id", model.post_id(post)?, false),
            ]
        }
        Act::Comment { comment } | Act::DeleteComment { comment } => {
            let path = format!("{}/comments", model.post_path(model.plan.comments[comment].post)?);
            let written = matches!(act, Act::Comment { .. });
            vec![listed(path, "comments", "id", model.comment_id(comment)?, written)]
        }
        Act::Like { person, post } | Act::Unlike { person, post } => {
            let (path, likes) = (model.post_path(post)?, model.likes(person, post));
            vec![
                Sight::Body { path: path.clone(), expected: json!({"liked_by_me": likes}) },
                listed(format!("{path}/likes"), "likes", "user_id", model.person_id(person)?, likes),
            ]
        }
        // Nobody reads any more as who has left.
        Act::Leave { .. }
        | Act::Logout { .. }
        | Act::FollowAgain { .. }
        | Act::UnfollowAgain { .. }
        | Act::FollowMyself { .. }
        | Act::LikeAgain { .. }
        | Act::UnlikeAgain { .. }
        | Act::LikeDeleted { .. }
        | Act::EditForeign { .. }
        | Act::DeletePostAgain { .. }
        | Act::DeleteCommentAgain { .. } => Vec::new(),
    };
    Some(sights)
}
