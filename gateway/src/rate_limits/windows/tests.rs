use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

const NOW: u64 = 1_000_000;

fn charge(class: Class, limit: u32) -> Charge {
    Charge { class, limit, cost: 1 }
}

fn passes(windows: &Windows, subject: u128, charges: &[Charge], now_ms: u64) -> bool {
    windows.take(subject, charges, now_ms).is_ok()
}

#[test]
fn so_many_pass_as_the_limit_says_and_then_none_until_the_window_is_over() {
    let (windows, charges) = (Windows::new(), [charge(Class::Login, 3)]);
    for left in [2, 1, 0] {
        let taken = windows.take(1, &charges, NOW + u64::from(2 - left)).unwrap();
        assert_eq!(taken.standings().map(|it| (it.left, it.ends_ms)).collect::<Vec<_>>(), [(left, NOW + WINDOW_MS)]);
    }
    let refused = windows.take(1, &charges, NOW + 10).unwrap_err();
    assert_eq!((refused.left, refused.seconds_left(NOW + 10)), (0, WINDOW_S));
    assert_eq!(refused.seconds_left(NOW + WINDOW_MS - 1), 1);
    assert!(!passes(&windows, 1, &charges, NOW + WINDOW_MS - 1));
    // Who waits as long as they were told passes, and a new minute begins.
    let again = windows.take(1, &charges, NOW + WINDOW_MS).unwrap();
    assert_eq!(again.standings().next().unwrap().ends_ms, NOW + 2 * WINDOW_MS);
}

#[test]
fn subjects_and_classes_do_not_disturb_each_other() {
    let windows = Windows::new();
    for (subject, class) in [(1, Class::Login), (2, Class::Login), (1, Class::Register)] {
        assert!(passes(&windows, subject, &[charge(class, 1)], NOW));
        assert!(!passes(&windows, subject, &[charge(class, 1)], NOW));
    }
}

#[test]
fn who_is_refused_by_one_limit_takes_from_none() {
    let windows = Windows::new();
    let (wide, narrow) = (charge(Class::Anonymous, 10), charge(Class::Register, 1));
    for order in [[wide, narrow], [narrow, wide]] {
        let subject = u128::from(order[0].limit);
        assert!(passes(&windows, subject, &order, NOW));
        for _ in 0..20 {
            assert_eq!(windows.take(subject, &order, NOW).unwrap_err().charge.class, Class::Register);
        }
        assert_eq!(windows.look(subject, wide, NOW).unwrap().left, 8);
    }
}

#[test]
fn a_cost_is_taken_whole_or_not_at_all() {
    let windows = Windows::new();
    let dear = Charge { cost: 4, ..charge(Class::User, 10) };
    assert!(passes(&windows, 1, &[dear], NOW) && passes(&windows, 1, &[dear], NOW));
    assert_eq!(windows.take(1, &[dear], NOW).unwrap_err().left, 2);
    assert!(passes(&windows, 1, &[charge(Class::User, 10)], NOW));
    // What costs more than a window holds can be had once a window, not never.
    let beyond = Charge { cost: 100, ..charge(Class::User, 10) };
    assert!(passes(&windows, 2, &[beyond], NOW) && !passes(&windows, 2, &[beyond], NOW));
}

#[test]
fn what_is_given_back_can_be_taken_again_but_never_twice() {
    let windows = Windows::new();
    let charges = [charge(Class::Anonymous, 2), charge(Class::Login, 1)];
    let taken = windows.take(1, &charges, NOW).unwrap();
    assert!(!passes(&windows, 1, &charges, NOW));
    windows.give_back(&taken);
    // All was given back: the minute begins with the first request that counts.
    let again = windows.take(1, &charges, NOW + 5).unwrap();
    assert!(again.standings().all(|standing| standing.ends_ms == NOW + 5 + WINDOW_MS));
    windows.give_back(&taken);
    assert!(!passes(&windows, 1, &charges, NOW + 6), "it belonged to another window");
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
                    let mine = (0..1_000 / THREADS).filter(|_| passes(&windows, 7, &charges, NOW)).count();
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
