//! What windows promise, wherever they are: those of a node in its memory, and those in Redis if the tests have one.

use super::class::Class;
use super::shared::SharedWindows;
use super::windows::{Charge, Standing, Taken, WINDOW_S, Windows};
use futures::future::join_all;

const NOW: u64 = 1_000_000;
const WINDOW_MS: u64 = WINDOW_S as u64 * 1_000;

enum Counting {
    Here(Box<Windows>),
    #[cfg_attr(not(feature = "servers"), expect(dead_code, reason = "there is no Redis to count in"))]
    Shared(SharedWindows),
}

impl Counting {
    /// Of each kind one in which nobody has taken anything.
    async fn all() -> Vec<Self> {
        let here = Self::Here(Box::new(Windows::new()));
        #[cfg(feature = "servers")]
        let shared = in_redis().await.map(Self::Shared);
        #[cfg(not(feature = "servers"))]
        let shared = None;
        std::iter::once(here).chain(shared).collect()
    }

    async fn take(&self, subject: u128, charges: &[Charge], now_ms: u64) -> Result<Taken, Standing> {
        match self {
            Self::Here(windows) => windows.take(subject, charges, now_ms),
            Self::Shared(windows) => windows.take(subject, charges, Some(now_ms)).await.unwrap().0,
        }
    }

    async fn look(&self, subject: u128, charge: Charge, now_ms: u64) -> Result<Standing, Standing> {
        match self {
            Self::Here(windows) => windows.look(subject, charge, now_ms),
            Self::Shared(windows) => windows.look(subject, charge, Some(now_ms)).await.unwrap().0,
        }
    }

    async fn give_back(&self, taken: &Taken) {
        match self {
            Self::Here(windows) => windows.give_back(taken),
            Self::Shared(windows) => windows.give_back(taken).await.unwrap(),
        }
    }

    async fn passes(&self, subject: u128, charges: &[Charge], now_ms: u64) -> bool {
        self.take(subject, charges, now_ms).await.is_ok()
    }
}

/// On the server that `TIDINGS_TEST_SERVICES` leads to, under a prefix of its own. All of it goes within a minute.
#[cfg(feature = "servers")]
async fn in_redis() -> Option<SharedWindows> {
    use projections::RedisSessions;
    use projections::redis::Keyspace;
    let path = std::env::var("TIDINGS_TEST_SERVICES").ok()?;
    let said = std::fs::read_to_string(format!("{path}.read-models")).unwrap();
    let url = said.lines().find_map(|line| line.strip_prefix("REDIS_URL=")).unwrap();
    let url = format!("{url}?prefix=test_{}:", uuid::Uuid::new_v4().simple());
    let keys = Keyspace::open(&url).await.unwrap();
    Some(SharedWindows::new(keys.clone(), RedisSessions::new(keys).into()))
}

fn charge(class: Class, limit: u32) -> Charge {
    Charge { class, limit, cost: 1 }
}

#[tokio::test]
async fn so_many_pass_as_the_limit_says_and_then_none_until_the_window_is_over() {
    for windows in Counting::all().await {
        let charges = [charge(Class::Login, 3)];
        for left in [2, 1, 0] {
            let taken = windows.take(1, &charges, NOW + u64::from(2 - left)).await.unwrap();
            let standings = taken.standings().map(|it| (it.left, it.ends_ms)).collect::<Vec<_>>();
            assert_eq!(standings, [(left, NOW + WINDOW_MS)]);
        }
        let refused = windows.take(1, &charges, NOW + 10).await.unwrap_err();
        assert_eq!((refused.left, refused.seconds_left(NOW + 10)), (0, WINDOW_S));
        assert_eq!(refused.seconds_left(NOW + WINDOW_MS - 1), 1);
        assert!(!windows.passes(1, &charges, NOW + WINDOW_MS - 1).await);
        // Who waits as long as they were told passes, and a new minute begins.
        let again = windows.take(1, &charges, NOW + WINDOW_MS).await.unwrap();
        assert_eq!(again.standings().next().unwrap().ends_ms, NOW + 2 * WINDOW_MS);
    }
}

#[tokio::test]
async fn subjects_and_classes_do_not_disturb_each_other() {
    for windows in Counting::all().await {
        for (subject, class) in [(1, Class::Login), (2, Class::Login), (1, Class::Register)] {
            assert!(windows.passes(subject, &[charge(class, 1)], NOW).await);
            assert!(!windows.passes(subject, &[charge(class, 1)], NOW).await);
        }
    }
}

#[tokio::test]
async fn who_is_refused_by_one_limit_takes_from_none() {
    for windows in Counting::all().await {
        let (wide, narrow) = (charge(Class::Anonymous, 10), charge(Class::Register, 1));
        for order in [[wide, narrow], [narrow, wide]] {
            let subject = u128::from(order[0].limit);
            assert!(windows.passes(subject, &order, NOW).await);
            for _ in 0..20 {
                assert_eq!(windows.take(subject, &order, NOW).await.unwrap_err().charge.class, Class::Register);
            }
            assert_eq!(windows.look(subject, wide, NOW).await.unwrap().left, 8);
        }
    }
}

#[tokio::test]
async fn who_looks_takes_nothing() {
    for windows in Counting::all().await {
        let one = charge(Class::Anonymous, 1);
        for _ in 0..3 {
            assert_eq!(windows.look(1, one, NOW).await.unwrap().left, 0);
        }
        assert!(windows.passes(1, &[one], NOW).await);
        assert_eq!(windows.look(1, one, NOW).await.unwrap_err().left, 0);
    }
}

#[tokio::test]
async fn a_cost_is_taken_whole_or_not_at_all() {
    for windows in Counting::all().await {
        let dear = Charge { cost: 4, ..charge(Class::User, 10) };
        assert!(windows.passes(1, &[dear], NOW).await && windows.passes(1, &[dear], NOW).await);
        assert_eq!(windows.take(1, &[dear], NOW).await.unwrap_err().left, 2);
        assert!(windows.passes(1, &[charge(Class::User, 10)], NOW).await);
        // What costs more than a window holds can be had once a window, not never.
        let beyond = Charge { cost: 100, ..charge(Class::User, 10) };
        assert!(windows.passes(2, &[beyond], NOW).await && !windows.passes(2, &[beyond], NOW).await);
    }
}

#[tokio::test]
async fn what_is_given_back_can_be_taken_again_but_never_twice() {
    for windows in Counting::all().await {
        let charges = [charge(Class::Anonymous, 2), charge(Class::Login, 1)];
        let taken = windows.take(1, &charges, NOW).await.unwrap();
        assert!(!windows.passes(1, &charges, NOW).await);
        windows.give_back(&taken).await;
        // All was given back: the minute begins with the first request that counts.
        let again = windows.take(1, &charges, NOW + 5).await.unwrap();
        assert!(again.standings().all(|standing| standing.ends_ms == NOW + 5 + WINDOW_MS));
        windows.give_back(&taken).await;
        assert!(!windows.passes(1, &charges, NOW + 6).await, "it belonged to another window");
    }
}

#[tokio::test]
async fn exactly_so_many_of_a_thousand_at_once_pass() {
    for windows in Counting::all().await {
        for (subject, limit) in [(1, 1), (2, 99), (3, 100), (4, 999)] {
            let charges = [charge(Class::User, limit), charge(Class::Posts, limit + 1)];
            let passed = join_all((0..1_000).map(|_| windows.passes(subject, &charges, NOW))).await;
            assert_eq!(passed.into_iter().filter(|passed| *passed).count(), limit as usize);
        }
    }
}
