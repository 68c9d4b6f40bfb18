//! The feed by relevance: ranked when the first page is asked for, and read from that ranking page by page, so that what
//! is posted, liked or shown meanwhile moves nothing.

use super::frozen::{Frozen, Seen};
use super::{Explain, FeedItem};
use crate::backend::Backend;
use crate::error::{ApiError, ErrorName};
use events::{PostId, Timestamp, UserId};
use projections::feed::ranking::{ACTS_MAX, AFFINITY_WINDOW, CANDIDATES_MAX, Candidate, Factors, Ranked, rank};
use projections::{Listing, Page, Place, Unavailable, posts};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

/// What is kept between the pages of readers.
#[derive(Default)]
pub(crate) struct Readings {
    frozen: Frozen,
    seen: Seen,
}

/// Why a post stands where it stands: the product of the factors is the score, as both were when the ranking was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Explanation {
    /// Falls from one item to the next, or stays.
    #[schema(minimum = 0.0)]
    score: f64,
    /// `1 + min(2, (likes + 2 * comments) / 10)`: the reader's, with this author's posts in the last 30 days; with one's own
    /// posts nobody has any.
    #[schema(minimum = 1.0, maximum = 3.0)]
    affinity: f64,
    /// `1 + ln(1 + likes + 3 * comments)`: everybody's, with this post.
    #[schema(minimum = 1.0)]
    popularity: f64,
    /// `2^(-age / 12 h)`.
    #[schema(minimum = 0.0, maximum = 1.0)]
    recency: f64,
    /// `0.75 * 0.5^k + 0.25`, where k posts of this author stand above this one.
    #[schema(minimum = 0.25, maximum = 1.0)]
    diversity: f64,
    /// 0.4 if the reader was shown the post before, else 1.
    #[schema(minimum = 0.4, maximum = 1.0)]
    seen: f64,
}

impl From<Factors> for Explanation {
    fn from(factors: Factors) -> Self {
        let Factors { affinity, popularity, recency, diversity, seen } = factors;
        Self { score: factors.score(), affinity, popularity, recency, diversity, seen }
    }
}

impl Backend {
    /// A page of the feed by relevance. A place is how far the reader has come in the ranking, and which one it is; 404 if
    /// that one is kept no longer.
    pub(super) async fn relevant(
        &self,
        reader: UserId,
        page: Page,
        explain: Explain,
    ) -> Result<Listing<FeedItem>, ApiError> {
        let (from, id, ranking) = match page.after {
            None => (0, None, self.rank(reader).await?),
            Some((Timestamp(from), id)) => {
                let ranking = self.readings.frozen.find(reader, id, Instant::now());
                let expired = || ApiError::new(ErrorName::NotFound, "This cursor has expired; begin again without one");
                (usize::try_from(from).unwrap_or(usize::MAX), Some(id), ranking.ok_or_else(expired)?)
            }
        };
        let (items, next) = self.show(reader, &ranking, from, page.limit, explain).await?;
        items.iter().for_each(|item| self.readings.seen.mark(reader, PostId(item.post.id)));
        let place = |next: usize| -> Place {
            let id: Uuid = id.unwrap_or_else(|| self.readings.frozen.keep(reader, ranking, Instant::now()));
            (Timestamp(i64::try_from(next).unwrap_or(i64::MAX)), id)
        };
        Ok(Listing { items, next: next.map(place) })
    }

    async fn rank(&self, reader: UserId) -> Result<Arc<[Ranked]>, Unavailable> {
        let now = Timestamp::now();
        let posts = self.candidates(reader).await?;
        // By author, since each is asked about once.
        let mut acts = posts.iter().map(|post| (post.author, (0, 0))).collect::<BTreeMap<_, _>>();
        let authors = acts.keys().copied().collect::<Vec<_>>();
        let window = i64::try_from(AFFINITY_WINDOW.as_micros()).unwrap_or(i64::MAX);
        let since = Timestamp(now.0.saturating_sub(window));
        let counted = self.models.posts.acts(reader, &authors, since, ACTS_MAX).await?;
        acts.values_mut().zip(counted).for_each(|(acts, counted)| *acts = counted);
        let candidate = |post: posts::Post| {
            let (own_likes, own_comments) = acts[&post.author];
            Candidate {
                post: post.id,
                author: post.author,
                created_at: post.created_at,
                likes: post.likes_count,
                comments: post.comments_count,
                own_likes,
                own_comments,
                seen: self.readings.seen.contains(reader, post.id),
            }
        };
        Ok(rank(posts.into_iter().map(candidate), now).into())
    }

    /// What is ranked: the newest of the feed.
    async fn candidates(&self, reader: UserId) -> Result<Vec<posts::Post>, Unavailable> {
        let newest = Page { limit: CANDIDATES_MAX, after: None };
        let hidden = self.hidden_from(Some(reader)).await?;
        let newest = self.models.feed.latest(reader, newest, &hidden).await?;
        self.models.posts.posts(&newest.items, Some(reader)).await
    }

    /// As many posts as are wanted and can be shown, beginning at a place of the ranking; and the place of the next one
    /// that can be shown, so that there is none exactly at the end.
    async fn show(
        &self,
        reader: UserId,
        ranking: &[Ranked],
        from: usize,
        limit: usize,
        explain: Explain,
    ) -> Result<(Vec<FeedItem>, Option<usize>), ApiError> {
        // Whoever was blocked or muted since is in the ranking still.
        let hidden = self.hidden_from(Some(reader)).await?;
        let mut shown = Vec::with_capacity(limit);
        let mut rest = ranking.iter().enumerate().skip(from);
        loop {
            let part = rest.by_ref().take(limit + 1 - shown.len()).collect::<Vec<_>>();
            if part.is_empty() {
                return Ok((shown, None));
            }
            let ids = part.iter().map(|(_, ranked)| ranked.post).collect::<Vec<_>>();
            let mut part = part.into_iter();
            let mut posts = self.models.posts.posts(&ids, Some(reader)).await?;
            posts.retain(|post| !hidden.hides_in_feed(post.author));
            for post in self.shape_posts(Some(reader), posts, &hidden).await? {
                // What can be shown comes in the order in which it was asked for.
                let Some((place, ranked)) = part.find(|(_, ranked)| ranked.post.0 == post.id) else { continue };
                if shown.len() == limit {
                    return Ok((shown, Some(place)));
                }
                let explanation = (explain == Explain::Yes).then(|| ranked.factors.into());
                shown.push(FeedItem { post, explanation });
            }
        }
    }
}
