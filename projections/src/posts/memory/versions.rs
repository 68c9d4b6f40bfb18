//! What a post says and has said. Whoever edits a post more often than is kept loses the oldest texts, not the numbers:
//! they go on, so that one who reads the history sees that it began earlier.

use crate::posts::change::Body;
use crate::posts::{VERSIONS_KEPT_MAX, Version};
use events::Timestamp;
use std::sync::Arc;

/// The text of a post that can be read.
pub(super) struct Versions {
    newest: Body,
    number: u64,
    /// Oldest first, without gaps, up to the newest one.
    earlier: Vec<(Body, Timestamp)>,
}

impl Versions {
    pub(super) fn new(body: Body) -> Self {
        Self { newest: body, number: 1, earlier: Vec::new() }
    }

    pub(super) fn newest(&self) -> &Body {
        &self.newest
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// `written` is when the version was that is replaced.
    pub(super) fn replace(&mut self, body: Body, written: Timestamp) {
        if self.earlier.len() + 1 == VERSIONS_KEPT_MAX {
            self.earlier.remove(0);
        }
        self.earlier.push((std::mem::replace(&mut self.newest, body), written));
        self.number += 1;
    }

    /// Newest first; `written` is when the newest one was.
    pub(super) fn all(&self, written: Timestamp) -> impl Iterator<Item = Version> {
        let earlier = self.earlier.iter().rev().map(|(body, at)| (body, *at));
        let all = std::iter::once((&self.newest, written)).chain(earlier);
        all.zip((1..=self.number).rev()).map(|((body, created_at), number)| Version {
            number,
            content: body.content.clone(),
            hashtags: Arc::clone(&body.hashtags),
            mentions: Arc::clone(&body.mentions),
            created_at,
        })
    }
}
