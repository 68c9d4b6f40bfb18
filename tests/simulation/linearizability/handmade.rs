//! Histories made by hand: what the checker must not let pass, and what it must.

use tidings_tests::linearizability::account::{self, Account};
use tidings_tests::linearizability::claim::{self, Claim};
use tidings_tests::linearizability::follow::{self, Follow};
use tidings_tests::linearizability::post::{self, Post};
use tidings_tests::linearizability::session::{self, Session};
use tidings_tests::linearizability::{Answer, CALLS_MAX, Call, Effect, Id, Object, Verdict, Why, judge};
use tidings_tests::simulation::Dice;
use uuid::Uuid;

const ADA: Id = Id(Uuid::from_u128(1));
const BOB: Id = Id(Uuid::from_u128(2));
const COMMENT: Id = Id(Uuid::from_u128(3));

/// A call of its own from one moment to another.
fn call<Op>(begun: u64, ended: u64, op: Op, answer: Answer) -> Call<Op> {
    let id = Id(Uuid::from_u128(1_000 + u128::from(begun)));
    Call { client: "somebody".to_owned(), op, id, print: 0, begun, ended: Some(ended), answer, after: None }
}

/// A call without an answer.
fn lost<Op>(begun: u64, op: Op) -> Call<Op> {
    Call { ended: None, ..call(begun, begun, op, Answer::Unknown) }
}

/// The same command as another call's.
fn again<Op>(of: u64, call: Call<Op>) -> Call<Op> {
    Call { id: Id(Uuid::from_u128(1_000 + u128::from(of))), ..call }
}

/// One call after the other.
fn in_turn<Op>(steps: Vec<(Op, Answer)>) -> Vec<Call<Op>> {
    let steps = steps.into_iter().zip(0..);
    steps.map(|((op, answer), n)| call(2 * n + 1, 2 * n + 2, op, answer)).collect()
}

/// After Ada has published the post.
fn published(mut then: Vec<Call<post::Op>>) -> Vec<Call<post::Op>> {
    then.push(Call { begun: 0, ended: Some(0), ..call(0, 0, post::Op::Publish(ADA), Answer::Accepted) });
    then
}

fn explained<O: Object>(calls: &[Call<O::Op>]) -> bool {
    match judge::<O>(calls) {
        Verdict::Linearizable => true,
        Verdict::Violated(_) => false,
        Verdict::TooLarge { calls } => panic!("{calls} calls are not too many"),
    }
}

const NOT_FOUND: Answer = Answer::Refused(Why::NotFound);
const FORBIDDEN: Answer = Answer::Refused(Why::Forbidden);
const TAKEN: Answer = Answer::Refused(Why::Taken);

#[test]
fn a_post_says_the_truth_about_itself() {
    use post::Op::{Delete, Edit, Like, Publish, Unlike};
    let says = |steps| explained::<Post>(&published(in_turn(steps)));
    assert!(says(vec![(Like(BOB), Answer::Accepted), (Like(BOB), Answer::Unchanged), (Unlike(BOB), Answer::Accepted)]));
    assert!(says(vec![(Edit(BOB), FORBIDDEN), (Delete(BOB), FORBIDDEN), (Delete(ADA), Answer::Accepted)]));
    assert!(says(vec![(Delete(ADA), Answer::Accepted), (Like(BOB), NOT_FOUND), (Edit(BOB), NOT_FOUND)]));

    assert!(!says(vec![(Like(BOB), NOT_FOUND)]), "the post is there");
    assert!(!says(vec![(Edit(ADA), NOT_FOUND)]), "the post is there");
    assert!(!says(vec![(Edit(BOB), Answer::Accepted)]), "it is not Bob's");
    assert!(!says(vec![(Edit(ADA), FORBIDDEN)]), "it is Ada's");
    assert!(!says(vec![(Publish(ADA), Answer::Accepted)]), "it is there already");
    assert!(!says(vec![(Like(BOB), Answer::Unchanged)]), "Bob did not like it");
    assert!(!says(vec![(Like(BOB), Answer::Accepted), (Like(BOB), Answer::Accepted)]), "Bob likes it already");
    assert!(!says(vec![(Like(BOB), Answer::Accepted), (Unlike(BOB), NOT_FOUND)]), "an acknowledged like is lost");
    assert!(!says(vec![(Like(BOB), Answer::Accepted), (Unlike(ADA), Answer::Accepted)]), "it is not Ada's like");
    assert!(!says(vec![(Delete(ADA), Answer::Accepted), (Like(BOB), Answer::Accepted)]), "the post is gone");
    assert!(!says(vec![(Delete(ADA), Answer::Accepted), (Delete(ADA), Answer::Accepted)]), "the post is gone");
    assert!(!says(vec![(Delete(ADA), Answer::Accepted), (Publish(ADA), Answer::Accepted)]), "it stays deleted");
}

#[test]
fn a_comment_is_refused_for_the_right_reason() {
    use post::Op::{Comment, Delete, Uncomment};
    let says = |steps| explained::<Post>(&published(in_turn(steps)));
    let comment = || (Comment { comment: COMMENT, by: BOB }, Answer::Accepted);
    let uncomment = |by| Uncomment { comment: COMMENT, by };
    assert!(says(vec![comment(), (uncomment(BOB), Answer::Accepted), (uncomment(BOB), NOT_FOUND)]));
    assert!(says(vec![comment(), (uncomment(ADA), Answer::Accepted)]), "the post is Ada's");
    assert!(says(vec![comment(), (uncomment(COMMENT), FORBIDDEN), (Delete(ADA), Answer::Accepted)]));
    assert!(says(vec![comment(), (Delete(ADA), Answer::Accepted), (uncomment(COMMENT), NOT_FOUND)]));

    assert!(!says(vec![comment(), (uncomment(BOB), NOT_FOUND)]), "it is there");
    assert!(!says(vec![comment(), (uncomment(COMMENT), Answer::Accepted)]), "it is somebody else's");
    assert!(!says(vec![comment(), (Delete(ADA), Answer::Accepted), (uncomment(COMMENT), FORBIDDEN)]), "it is gone");
    assert!(!says(vec![comment(), (uncomment(BOB), Answer::Accepted), comment()]), "it stays deleted");
}

#[test]
fn order_is_free_only_among_calls_that_overlap() {
    use post::Op::{Like, Unlike};
    let overlapping =
        |ended| published(vec![call(1, ended, Like(BOB), Answer::Accepted), call(3, 4, Unlike(BOB), NOT_FOUND)]);
    assert!(explained::<Post>(&overlapping(5)), "the like may come after");
    assert!(!explained::<Post>(&overlapping(2)), "the like was acknowledged before");
}

#[test]
fn what_has_no_answer_takes_effect_later_or_never_but_not_before_it_was_asked() {
    use post::Op::{Like, Unlike};
    let unlike = |answer| vec![lost(1, Like(BOB)), call(3, 4, Unlike(BOB), answer)];
    assert!(explained::<Post>(&published(unlike(Answer::Accepted))));
    assert!(explained::<Post>(&published(unlike(NOT_FOUND))));
    let late = vec![lost(1, Like(BOB)), call(3, 4, Unlike(BOB), NOT_FOUND), call(5, 6, Like(BOB), Answer::Unchanged)];
    assert!(explained::<Post>(&published(late)));
    let early = vec![call(1, 2, Unlike(BOB), Answer::Accepted), lost(3, Like(BOB))];
    assert!(!explained::<Post>(&published(early)));
    let twice =
        vec![lost(1, Like(BOB)), call(3, 4, Unlike(BOB), Answer::Accepted), call(5, 6, Unlike(BOB), Answer::Accepted)];
    assert!(!explained::<Post>(&published(twice)), "it takes effect once");
}

#[test]
fn a_session_reads_what_it_has_written_or_what_became_of_it() {
    use post::Op::{Delete, IsLiked, Like, Unlike};
    let like = || call(1, 20, Like(BOB), Answer::Accepted);
    let read = |answer| Call { begun: 2, after: Some(like().id), ..call(30, 31, IsLiked(BOB), answer) };
    let (yes, no) = (Answer::Read(true), Answer::Read(false));
    assert!(explained::<Post>(&published(vec![like(), read(yes)])));
    assert!(!explained::<Post>(&published(vec![like(), read(no)])));
    // What others did meanwhile may be seen or not.
    let unlike = || call(5, 6, Unlike(BOB), Answer::Accepted);
    assert!(explained::<Post>(&published(vec![like(), unlike(), read(yes)])));
    assert!(explained::<Post>(&published(vec![like(), unlike(), read(no)])));
    let delete = || call(5, 6, Delete(ADA), Answer::Accepted);
    assert!(explained::<Post>(&published(vec![like(), delete(), read(NOT_FOUND)])));
    assert!(!explained::<Post>(&published(vec![like(), delete(), read(no)])));
}

#[test]
fn a_call_that_is_asked_again_takes_effect_once() {
    use post::Op::{Like, Unlike};
    let after = |answer| {
        let unlike = call(3, 4, Unlike(BOB), Answer::Accepted);
        published(vec![call(1, 2, Like(BOB), Answer::Accepted), unlike, again(1, call(5, 6, Like(BOB), answer))])
    };
    assert!(explained::<Post>(&after(Answer::Repeated)));
    assert!(!explained::<Post>(&after(Answer::Accepted)));
    assert!(!explained::<Post>(&after(NOT_FOUND)));
    assert!(!explained::<Post>(&after(Answer::Unchanged)));

    let refused = vec![call(1, 2, Unlike(BOB), NOT_FOUND), again(1, call(3, 4, Unlike(BOB), Answer::Repeated))];
    assert!(!explained::<Post>(&published(refused)), "a refusal is not an effect that can be repeated");

    let reused = |print| {
        let other = Call { print, ..again(1, call(3, 4, Like(ADA), Answer::Refused(Why::KeyReused))) };
        published(vec![call(1, 2, Like(BOB), Answer::Accepted), other])
    };
    assert!(explained::<Post>(&reused(1)));
    assert!(!explained::<Post>(&reused(0)), "it is the same request");
}

#[test]
fn refusals_under_a_post_agree_on_when_it_was_deleted() {
    use post::Op::{Comment, Delete, Like};
    // Each of the two histories of likes and comments alone has an order: the deletion overlaps with both.
    let delete = || call(1, 10, Delete(ADA), Answer::Accepted);
    let (refused, liked) =
        (call(2, 3, Like(BOB), NOT_FOUND), call(4, 5, Comment { comment: COMMENT, by: BOB }, Answer::Accepted));
    assert!(explained::<Post>(&published(vec![delete(), refused.clone()])));
    assert!(explained::<Post>(&published(vec![delete(), liked.clone()])));
    assert!(!explained::<Post>(&published(vec![delete(), refused, liked])));
}

#[test]
fn one_of_two_who_follow_at_once_finds_it_so() {
    use follow::Op::{End, Start, StartOneself};
    let both = |one, other| vec![call(1, 4, Start, one), call(2, 3, Start, other)];
    assert!(explained::<Follow>(&both(Answer::Accepted, Answer::Unchanged)));
    assert!(explained::<Follow>(&both(Answer::Unchanged, Answer::Accepted)));
    assert!(!explained::<Follow>(&both(Answer::Accepted, Answer::Accepted)));
    assert!(!explained::<Follow>(&both(Answer::Unchanged, Answer::Unchanged)));
    assert!(!explained::<Follow>(&in_turn(vec![(End, Answer::Accepted)])));
    assert!(!explained::<Follow>(&in_turn(vec![(Start, Answer::Accepted), (End, NOT_FOUND)])));
    assert!(!explained::<Follow>(&in_turn(vec![(StartOneself, Answer::Accepted)])));
}

#[test]
fn a_session_ends_once() {
    use session::Op::{Close, Open};
    let opened = |then: Vec<_>| in_turn([(Open, Answer::Accepted)].into_iter().chain(then).collect());
    assert!(explained::<Session>(&opened(vec![(Close, Answer::Accepted), (Close, NOT_FOUND)])));
    assert!(!explained::<Session>(&opened(vec![(Close, NOT_FOUND)])));
    assert!(!explained::<Session>(&opened(vec![(Close, Answer::Accepted), (Close, Answer::Accepted)])));
}

#[test]
fn with_the_account_all_ends_for_good() {
    use account::Op::{ChangeBio, Create, Delete};
    let account = |then: Vec<_>| in_turn([(Create, Answer::Accepted)].into_iter().chain(then).collect());
    assert!(explained::<Account>(&account(vec![(Delete, Answer::Accepted), (ChangeBio, NOT_FOUND)])));
    assert!(!explained::<Account>(&account(vec![(ChangeBio, NOT_FOUND)])));
    assert!(!explained::<Account>(&account(vec![(Delete, Answer::Accepted), (ChangeBio, Answer::Accepted)])));
    let session = |then| in_turn([(session::Op::Open, Answer::Accepted)].into_iter().chain(then).collect());
    let delete = || (session::Op::DeleteAccount, Answer::Accepted);
    assert!(explained::<Session>(&session(vec![delete(), (session::Op::Close, NOT_FOUND)])));
    assert!(!explained::<Session>(&session(vec![delete(), (session::Op::Open, Answer::Accepted)])));
    let follow = |then| in_turn([(follow::Op::Start, Answer::Accepted)].into_iter().chain(then).collect());
    let delete = || (follow::Op::DeleteAccount, Answer::Accepted);
    assert!(explained::<Follow>(&follow(vec![delete(), (follow::Op::End, Answer::Accepted)])));
    assert!(explained::<Follow>(&follow(vec![delete(), (follow::Op::Start, NOT_FOUND)])));
    assert!(!explained::<Follow>(&follow(vec![delete(), (follow::Op::Start, Answer::Unchanged)])));
}

#[test]
fn a_name_has_one_holder_and_is_taken_only_while_it_has_one() {
    use claim::Op::{Give, Take};
    let two = |answer| vec![call(1, 4, Take(ADA), Answer::Accepted), call(2, 5, Take(BOB), answer)];
    assert!(explained::<Claim>(&two(TAKEN)));
    assert!(!explained::<Claim>(&two(Answer::Accepted)));
    assert!(!explained::<Claim>(&[call(1, 2, Take(BOB), TAKEN)]), "nobody has it");
    // Ada's other claim is refused, so that she holds this one for a while.
    let for_a_while = |begun, ended| {
        let give = call(2, 6, Give(ADA), Answer::Accepted);
        vec![call(1, 6, Take(ADA), Answer::Accepted), give, call(begun, ended, Take(BOB), TAKEN)]
    };
    assert!(explained::<Claim>(&for_a_while(3, 4)));
    assert!(!explained::<Claim>(&for_a_while(7, 8)), "she has given it back");
}

#[test]
fn the_first_answer_that_cannot_be_explained_is_shown() {
    use post::Op::{Like, Unlike};
    let calls = in_turn(vec![(Like(BOB), Answer::Accepted), (Unlike(BOB), NOT_FOUND), (Like(ADA), Answer::Accepted)]);
    let Verdict::Violated(history) = judge::<Post>(&published(calls)) else { panic!("it was explained") };
    let marked = history.lines().filter(|line| line.starts_with(">>")).collect::<Vec<_>>();
    assert!(marked.len() == 1 && marked[0].contains("Unlike"), "{history}");
    assert!(!history.contains(&format!("Like({ADA:?})")), "what came later is of no interest: {history}");
}

#[test]
fn what_is_too_large_is_said_to_be_so() {
    use post::Op::{Like, Unlike};
    let many = (0..=CALLS_MAX).map(|_| (Like(BOB), Answer::Unchanged)).collect();
    let many = in_turn(many);
    assert_eq!(judge::<Post>(&many), Verdict::TooLarge { calls: CALLS_MAX + 1 });
    // Few calls, but so many ways to order them that the search gives up before it has found that there is none.
    let mut open: Vec<_> = (0..30).map(|n| lost(n + 1, Like(Id(Uuid::from_u128(100 + u128::from(n)))))).collect();
    open.push(call(50, 51, Unlike(ADA), Answer::Accepted));
    assert_eq!(judge::<Post>(&published(open)), Verdict::TooLarge { calls: 32 });
}

/// Whether some order explains the calls, by trying all of them; those without an answer may be left out.
fn some_order_explains(state: follow::State, left: &[Call<follow::Op>]) -> bool {
    if left.iter().all(|call| call.ended.is_none()) {
        return true;
    }
    let first_end = left.iter().filter_map(|call| call.ended).min();
    (0..left.len()).any(|next| {
        let (mut state, mut rest) = (state, left.to_vec());
        let call = rest.remove(next);
        let effect = Follow::step(&mut state, &call.op);
        let told = match effect {
            Effect::Happens => Answer::Accepted,
            Effect::Already => Answer::Unchanged,
            Effect::Refused(why) => Answer::Refused(why),
            Effect::Shows(it) => Answer::Read(it),
        };
        first_end.is_none_or(|end| call.begun < end)
            && (call.ended.is_none() || call.answer == told)
            && some_order_explains(state, &rest)
    })
}

#[test]
fn the_search_says_what_trying_every_order_says() {
    let dice = Dice::new(7);
    let mut verdicts = [0; 2];
    for _ in 0..5_000 {
        let calls: Vec<Call<follow::Op>> = (0..2 + dice.below(5))
            .map(|n| {
                let begun = 20 * dice.below(8) as u64 + n as u64;
                let ended = begun + 10 + 20 * dice.below(6) as u64;
                let op = if dice.once_in(2) { follow::Op::Start } else { follow::Op::End };
                let answer = match (dice.below(5), &op) {
                    (0, _) => return lost(begun, op),
                    (1 | 2, _) => Answer::Accepted,
                    (_, follow::Op::Start) => Answer::Unchanged,
                    _ => NOT_FOUND,
                };
                call(begun, ended, op, answer)
            })
            .collect();
        let expected = some_order_explains(follow::State::default(), &calls);
        assert_eq!(explained::<Follow>(&calls), expected, "{calls:#?}");
        verdicts[usize::from(expected)] += 1;
    }
    println!("{} random histories are explained, {} are not", verdicts[1], verdicts[0]);
    assert!(verdicts.iter().all(|times| *times > 500), "{verdicts:?}");
}
