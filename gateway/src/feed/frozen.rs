//! Rankings that readers are paging through, and what they were shown. Ephemeral: it is in this node's memory alone, and
//! losing it costs a reader no more than beginning again, or seeing something again.
//!
//! A ranking is frozen when its first page is not the last, and never changes. Its number goes into the cursor, beside a
//! random one of this process, so that a cursor of another node or from before a restart finds nothing.

use crate::recent::Recent;
use events::{PostId, UserId};
use parking_lot::Mutex;
use projections::feed::ranking::Ranked;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a ranking is kept.
pub(crate) const KEPT: Duration = Duration::from_secs(10 * 60);
/// Rankings of one reader: devices that page at the same time.
pub(crate) const PER_READER_MAX: usize = 4;
/// Rankings of all readers.
const RANKINGS_MAX: usize = 20_000;
/// Bytes of all rankings' posts; a full ranking has about 45,000.
const BYTES_MAX: usize = 128 << 20;
/// Posts that are known to have been shown, of all readers; about 70 bytes each.
const SEEN_MAX: usize = 500_000;

/// Frozen rankings, the oldest first; whatever exceeds a limit pushes out the oldest.
pub(crate) struct Frozen {
    process: u64,
    limits: Limits,
    rankings: Mutex<Rankings>,
}

#[derive(Clone, Copy)]
struct Limits {
    rankings: usize,
    bytes: usize,
}

#[derive(Default)]
struct Rankings {
    next: u64,
    bytes: usize,
    all: BTreeMap<u64, Ranking>,
    of_reader: HashMap<UserId, VecDeque<u64>>,
}

struct Ranking {
    reader: UserId,
    posts: Arc<[Ranked]>,
    until: Instant,
}

impl Default for Frozen {
    fn default() -> Self {
        Self::with_limits(Limits { rankings: RANKINGS_MAX, bytes: BYTES_MAX })
    }
}

impl Frozen {
    fn with_limits(limits: Limits) -> Self {
        Self { process: Uuid::new_v4().as_u64_pair().0, limits, rankings: Mutex::default() }
    }

    /// Keeps a ranking. It is found under the returned id for [`KEPT`], or until too many newer ones are kept.
    pub(crate) fn keep(&self, reader: UserId, posts: Arc<[Ranked]>, now: Instant) -> Uuid {
        let mut rankings = self.rankings.lock();
        rankings.forget_while(|oldest| oldest.until <= now);
        while let Some(oldest) = rankings.of_reader.get(&reader).filter(|all| all.len() >= PER_READER_MAX) {
            let oldest = oldest[0];
            rankings.forget(oldest);
        }
        let (bytes, Limits { rankings: count_max, bytes: bytes_max }) = (size_of_val(&*posts), self.limits);
        while rankings.all.len() >= count_max || (rankings.bytes + bytes > bytes_max && !rankings.all.is_empty()) {
            rankings.forget_oldest();
        }
        let number = rankings.next;
        rankings.next += 1;
        rankings.bytes += bytes;
        rankings.of_reader.entry(reader).or_default().push_back(number);
        rankings.all.insert(number, Ranking { reader, posts, until: now + KEPT });
        Uuid::from_u64_pair(self.process, number)
    }

    /// A ranking of this reader, unless it is too old or forgotten.
    pub(crate) fn find(&self, reader: UserId, id: Uuid, now: Instant) -> Option<Arc<[Ranked]>> {
        let (process, number) = id.as_u64_pair();
        let rankings = self.rankings.lock();
        let ranking = rankings.all.get(&number).filter(|_| process == self.process)?;
        (ranking.reader == reader && now < ranking.until).then(|| Arc::clone(&ranking.posts))
    }
}

impl Rankings {
    fn forget_while(&mut self, matches: impl Fn(&Ranking) -> bool) {
        while self.all.first_key_value().is_some_and(|(_, oldest)| matches(oldest)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((number, _)) = self.all.first_key_value() {
            self.forget(*number);
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(Ranking { reader, posts, .. }) = self.all.remove(&number) else { return };
        self.bytes -= size_of_val(&*posts);
        if let Some(numbers) = self.of_reader.get_mut(&reader) {
            numbers.retain(|it| *it != number);
            if numbers.is_empty() {
                self.of_reader.remove(&reader);
            }
        }
    }
}

/// What readers were shown by relevance.
pub(crate) struct Seen(Recent<(UserId, PostId), ()>);

impl Default for Seen {
    fn default() -> Self {
        Self(Recent::new(SEEN_MAX))
    }
}

impl Seen {
    pub(crate) fn mark(&self, reader: UserId, post: PostId) {
        self.0.insert((reader, post), ());
    }

    /// Asking keeps the mark alive.
    pub(crate) fn contains(&self, reader: UserId, post: PostId) -> bool {
        self.0.with(&(reader, post), |()| ()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::Timestamp;
    use projections::feed::ranking::{Candidate, rank};

    fn reader(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn ranking(posts: u128) -> Arc<[Ranked]> {
        let candidate = |n| Candidate {
            post: PostId(Uuid::from_u128(n)),
            author: reader(n),
            created_at: Timestamp(0),
            likes: 0,
            comments: 0,
            own_likes: 0,
            own_comments: 0,
            seen: false,
        };
        rank((0..posts).map(candidate), Timestamp(0)).into()
    }

    #[test]
    fn a_ranking_is_its_readers_until_it_expires() {
        let (frozen, now) = (Frozen::default(), Instant::now());
        let id = frozen.keep(reader(1), ranking(3), now);
        let almost = now + KEPT.saturating_sub(Duration::from_nanos(1));
        assert_eq!(frozen.find(reader(1), id, almost), Some(ranking(3)));
        assert_eq!(frozen.find(reader(2), id, now), None);
        assert_eq!(frozen.find(reader(1), id, now + KEPT), None);
        assert_eq!(Frozen::default().find(reader(1), id, now), None, "another process");
    }

    #[test]
    fn what_exceeds_a_limit_pushes_out_the_oldest() {
        let now = Instant::now();
        let frozen = Frozen::default();
        let other = frozen.keep(reader(2), ranking(1), now);
        let ids = (0..=PER_READER_MAX).map(|_| frozen.keep(reader(1), ranking(1), now)).collect::<Vec<_>>();
        let there = |frozen: &Frozen, id: Uuid, of| frozen.find(reader(of), id, now).is_some();
        assert!(!there(&frozen, ids[0], 1) && ids[1..].iter().all(|id| there(&frozen, *id, 1)));
        assert!(there(&frozen, other, 2));

        let of_two = size_of_val(&*ranking(2));
        for limits in [Limits { rankings: 2, bytes: usize::MAX }, Limits { rankings: usize::MAX, bytes: 2 * of_two }] {
            let frozen = Frozen::with_limits(limits);
            let ids = (0..3).map(|n| frozen.keep(reader(n), ranking(2), now)).collect::<Vec<_>>();
            let kept = ids.iter().zip(0..).map(|(id, n)| there(&frozen, *id, n)).collect::<Vec<_>>();
            assert_eq!(kept, [false, true, true]);
        }
    }

    #[test]
    fn nothing_is_left_of_what_is_forgotten() {
        let (frozen, now) = (Frozen::default(), Instant::now());
        for n in 0..10 {
            frozen.keep(reader(n % 3), ranking(n), now);
        }
        frozen.keep(reader(9), ranking(1), now + KEPT);
        let rankings = frozen.rankings.lock();
        assert_eq!((rankings.all.len(), rankings.of_reader.len()), (1, 1));
        assert_eq!(rankings.bytes, size_of_val(&*ranking(1)));
    }

    #[test]
    fn what_was_shown_to_one_is_new_to_another() {
        let (seen, post) = (Seen::default(), PostId(Uuid::from_u128(7)));
        seen.mark(reader(1), post);
        assert!(seen.contains(reader(1), post) && !seen.contains(reader(2), post));
    }
}
