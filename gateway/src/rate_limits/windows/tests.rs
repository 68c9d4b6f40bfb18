use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

const NOW: u64 = 1_000_000;

fn charge(class: Class, limit: u32) -> Charge {
    Charge { class, limit, cost: 1 }
}

#[test]
fn exactly_so_many_of_a_thousand_at_once_pass() {
    const THREADS: usize = 8;
    for limit in [1, 99, 100, 999] {
        let (windows, passed) = (Windows::new(), AtomicUsize::new(0));
        let charges = [charge(Class::User, limit), charge(Class::Posts, limit + 1)];
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let mine = (0..1_000 / THREADS).filter(|_| windows.take(7, &charges, NOW).is_ok()).count();
                    passed.fetch_add(mine, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(passed.into_inner(), limit as usize);
    }
}

#[test]
fn a_flood_of_subjects_forgets_the_emptiest_windows_and_keeps_its_bound() {
    let mut shard = Shard::default();
    let fill = |shard: &mut Shard, from: u128, count: usize, now_ms: u64| {
        for subject in from..from + count as u128 {
            let standing =
                shard.window(subject, charge(Class::Anonymous, 100), now_ms).after(charge(Class::Anonymous, 100));
            shard.note(subject, standing.unwrap(), now_ms);
        }
    };
    let guessing = Charge { cost: 2, ..charge(Class::Account, 10) };
    for subject in 0..100 {
        let standing = shard.window(subject, guessing, NOW).after(guessing).unwrap();
        shard.note(subject, standing, NOW);
    }
    fill(&mut shard, 1_000, 3 * SHARD_WINDOWS_MAX, NOW);
    assert!(shard.0.len() <= SHARD_WINDOWS_MAX);
    assert!((0..100).all(|subject| shard.0.contains_key(&(Class::Account, subject))), "they are the fullest");
    // What is over goes first, and all of it.
    fill(&mut shard, u128::MAX / 2, SHARD_WINDOWS_MAX, NOW + WINDOW_MS);
    assert!(shard.0.len() <= SHARD_WINDOWS_MAX);
    assert!(shard.0.values().all(|window| window.ends_ms > NOW + WINDOW_MS));
}
