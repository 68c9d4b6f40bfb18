//! A batch as a few bulk statements. Changes of one post must be made in their order, so a batch is cut into stages: in a
//! stage each kind of change is made at once, the kinds in a fixed order, and no post has a change before one that it
//! comes after. Few batches have more than one stage.

use super::super::change::{Body, Change};
use crate::postgres::Fate;
use crate::text::Text;
use events::{CommentId, PostId, Timestamp, UserId};
use std::collections::{BTreeMap, HashMap};

/// How far a post has come in a stage: in the order in which a stage is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Written,
    DraftPublished,
    Edited,
    /// Something below it has changed. Further such changes are merged.
    Below,
    Deleted,
}

/// Changes that are written kind by kind.
#[derive(Default)]
pub(super) struct Stage {
    reached: HashMap<PostId, Reached>,
    pub(super) written: Vec<Written>,
    pub(super) drafts_published: Vec<(PostId, Timestamp)>,
    pub(super) edited: Vec<(PostId, Body, Timestamp)>,
    /// Edited by somebody whose key is destroyed.
    pub(super) unreadable: Vec<PostId>,
    pub(super) comments: BTreeMap<(PostId, CommentId), Fate<Comment>>,
    pub(super) likes: BTreeMap<(PostId, UserId), Fate<Timestamp>>,
    pub(super) deleted: Vec<PostId>,
}

/// A post or a draft that is new.
pub(super) struct Written {
    pub(super) post: PostId,
    pub(super) author: UserId,
    pub(super) draft: bool,
    pub(super) body: Option<Body>,
    pub(super) at: Timestamp,
}

/// A comment that is new; without its text if that cannot be read.
pub(super) struct Comment {
    pub(super) author: UserId,
    pub(super) text: Option<Text>,
    pub(super) at: Timestamp,
}

/// Those who are gone from this batch on, and its other changes: which of both comes first makes no difference.
pub(super) fn gone(changes: Vec<Change>) -> (Vec<UserId>, Vec<Change>) {
    let mut gone = Vec::new();
    let mut others = Vec::with_capacity(changes.len());
    for change in changes {
        match change {
            Change::Gone { user } => gone.push(user),
            other => others.push(other),
        }
    }
    (gone, others)
}

impl Stage {
    /// The stages of these changes, in their order.
    pub(super) fn all(changes: Vec<Change>) -> Vec<Self> {
        let mut stages = vec![Self::default()];
        for change in changes {
            let Some((post, reaches)) = reaches(&change) else { continue };
            let mut stage = stages.pop().unwrap_or_default();
            let merges = reaches == Reached::Below;
            if stage.reached.get(&post).is_some_and(|reached| *reached > reaches || (*reached == reaches && !merges)) {
                stages.push(std::mem::take(&mut stage));
            }
            stage.reached.insert(post, reaches);
            stage.add(change);
            stages.push(stage);
        }
        stages
    }

    /// The posts whose hashtags may have changed.
    pub(super) fn retagged(&self) -> impl Iterator<Item = PostId> {
        let written = self.written.iter().map(|written| written.post);
        let published = self.drafts_published.iter().map(|(post, _)| *post);
        written.chain(published).chain(self.edited.iter().map(|(post, ..)| *post))
    }

    fn add(&mut self, change: Change) {
        match change {
            Change::Written { post, author, draft, body, at } => {
                self.written.push(Written { post, author, draft, body, at });
            }
            Change::DraftPublished { post, at } => self.drafts_published.push((post, at)),
            Change::Edited { post, body: Some(body), at } => self.edited.push((post, body, at)),
            Change::Edited { post, body: None, .. } => self.unreadable.push(post),
            Change::Deleted { post } => self.deleted.push(post),
            Change::Commented { post, comment, author, text, at } => {
                self.comments.entry((post, comment)).or_default().add(Comment { author, text, at });
            }
            Change::Uncommented { post, comment, .. } => self.comments.entry((post, comment)).or_default().remove(),
            Change::Liked { post, user, at } => self.likes.entry((post, user)).or_default().add(at),
            Change::Unliked { post, user } => self.likes.entry((post, user)).or_default().remove(),
            Change::Gone { .. } => {}
        }
    }
}

/// Which post a change is about, and how far it brings it.
fn reaches(change: &Change) -> Option<(PostId, Reached)> {
    match change {
        Change::Written { post, .. } => Some((*post, Reached::Written)),
        Change::DraftPublished { post, .. } => Some((*post, Reached::DraftPublished)),
        Change::Edited { post, .. } => Some((*post, Reached::Edited)),
        Change::Commented { post, .. }
        | Change::Uncommented { post, .. }
        | Change::Liked { post, .. }
        | Change::Unliked { post, .. } => Some((*post, Reached::Below)),
        Change::Deleted { post } => Some((*post, Reached::Deleted)),
        Change::Gone { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{at, user};
    use uuid::Uuid;

    fn post(n: u128) -> PostId {
        PostId(Uuid::from_u128(n))
    }

    fn written(n: u128) -> Change {
        Change::Written { post: post(n), author: user(1), draft: true, body: None, at: at(1) }
    }

    fn liked(n: u128) -> Change {
        Change::Liked { post: post(n), user: user(2), at: at(2) }
    }

    fn unliked(n: u128) -> Change {
        Change::Unliked { post: post(n), user: user(2) }
    }

    #[test]
    fn what_comes_in_the_order_of_writing_is_one_stage() {
        let published = Change::DraftPublished { post: post(1), at: at(1) };
        let deleted = Change::Deleted { post: post(1) };
        let stages = Stage::all(vec![written(1), published, liked(1), written(2), liked(2), deleted]);
        assert_eq!(stages.len(), 1);
        assert_eq!((stages[0].written.len(), stages[0].likes.len(), stages[0].deleted.len()), (2, 2, 1));
    }

    #[test]
    fn likes_that_come_and_go_are_merged_to_what_they_come_to() {
        let stages = Stage::all(vec![liked(1), unliked(1), liked(1), liked(2), unliked(2), unliked(3), liked(3)]);
        assert_eq!(stages.len(), 1);
        let ends = |n| {
            let like = &stages[0].likes[&(post(n), user(2))];
            (like.removed, like.added.is_some())
        };
        assert_eq!([ends(1), ends(2), ends(3)], [(true, true), (true, false), (true, true)]);
    }

    #[test]
    fn what_comes_out_of_the_order_of_writing_is_another_stage() {
        let edited = || Change::Edited { post: post(1), body: None, at: at(3) };
        for changes in
            [vec![edited(), edited()], vec![liked(1), edited()], vec![Change::Deleted { post: post(1) }, liked(1)]]
        {
            assert_eq!(Stage::all(changes).len(), 2);
        }
        assert_eq!(Stage::all(vec![edited(), liked(1), edited(), written(2), edited()]).len(), 3);
    }
}
