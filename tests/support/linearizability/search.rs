//! Histories as the checker wants them, and the bound on what it may try.

use super::{Answer, CALLS_MAX, Call, Effect, Id, Object, Why};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::marker::PhantomData;
use std::rc::Rc;
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

/// What the search may remember of one history, in bytes, so that it ends. Of 10,349 histories that were cut by kills 256 MiB
/// were too little for one.
const MEMORY_MAX: usize = 4 << 30;
/// About what it remembers of a step besides two flags a call: the largest state of the objects here.
const STATE_BYTES: usize = 1 << 10;

/// Whether there is an order that explains all; `None` if that is too much to find out.
pub(super) fn search<O: Object>(calls: &[Call<O::Op>]) -> Option<bool> {
    if calls.is_empty() {
        return Some(true);
    }
    if calls.len() > CALLS_MAX {
        return None;
    }
    let left = Rc::new(Cell::new(MEMORY_MAX / (STATE_BYTES + 2 * calls.len())));
    let linearizable = WGLChecker::<Alone<O>>::is_linearizable(History::from_actions(actions(calls, &left)));
    (left.get() > 0).then_some(linearizable)
}

/// Questions and answers in their order, each call on a line of its own. Those without an answer have theirs at the end,
/// where it may say anything: there, taking effect is as good as never taking effect.
fn actions<Op: Clone>(calls: &[Call<Op>], left: &Rc<Cell<usize>>) -> Vec<(usize, Action<Step<Op>>)> {
    let mut uses = BTreeMap::new();
    calls.iter().for_each(|call| *uses.entry(call.id).or_insert(0) += 1);
    let preceding: BTreeSet<Id> = calls.iter().filter_map(|call| call.after).collect();
    let mut moments = Vec::with_capacity(2 * calls.len());
    for (line, call) in calls.iter().enumerate() {
        let step = Step {
            op: call.op.clone(),
            print: (uses[&call.id] > 1).then_some((call.id, call.print)),
            precedes: preceding.contains(&call.id).then_some(call.id),
            after: call.after,
            answer: call.answer,
            left: Rc::clone(left),
        };
        moments.push((call.begun, line, Action::Call(step.clone())));
        moments.push((call.ended.unwrap_or(u64::MAX), line, Action::Response(step)));
    }
    moments.sort_by_key(|(moment, ..)| *moment);
    moments.into_iter().map(|(_, line, action)| (line, action)).collect()
}

/// One call as the search sees it.
#[derive(Clone, Debug)]
struct Step<Op> {
    op: Op,
    /// Its id and print, if other calls have the same id.
    print: Option<(Id, u8)>,
    /// Its id, if another call comes after it.
    precedes: Option<Id>,
    /// The call that comes before it.
    after: Option<Id>,
    answer: Answer,
    /// How many more steps the search may try.
    left: Rc<Cell<usize>>,
}

/// What the search is told of an object: which steps are possible.
struct Alone<O>(PhantomData<O>);

/// An object and what else the order so far decides.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Remembering<S> {
    object: S,
    /// Which of the commands that were asked more than once have taken effect, and the print under which.
    done: BTreeMap<Id, u8>,
    /// Which of the calls that others come after were there.
    passed: BTreeSet<Id>,
}

impl<O: Object> Specification for Alone<O> {
    type State = Remembering<O::State>;
    type Operation = Step<O::Op>;

    fn init() -> Self::State {
        Remembering { object: O::State::default(), done: BTreeMap::new(), passed: BTreeSet::new() }
    }

    fn apply(step: &Self::Operation, state: &Self::State) -> (bool, Self::State) {
        let left = step.left.get().saturating_sub(1);
        step.left.set(left);
        // Out of its means nothing is possible any more, so that the search ends.
        if left == 0 || step.after.is_some_and(|before| !state.passed.contains(&before)) {
            return (false, state.clone());
        }
        let mut next = state.clone();
        next.passed.extend(step.precedes);
        let possible = match step.print.and_then(|(id, print)| Some((print, *state.done.get(&id)?))) {
            Some((print, done)) if print == done => {
                matches!(step.answer, Answer::Repeated | Answer::Done | Answer::Gone | Answer::Unknown)
            }
            Some(_) => matches!(step.answer, Answer::Refused(Why::KeyReused) | Answer::Unknown),
            None => {
                let effect = O::step(&mut next.object, &step.op);
                if let (Effect::Happens, Some((id, print))) = (effect, step.print) {
                    next.done.insert(id, print);
                }
                explains(effect, step.answer)
            }
        };
        if possible { (true, next) } else { (false, state.clone()) }
    }
}

/// Whether somebody whose call did this may be told that. One call may be sent more than once on its way, so that "it
/// took effect before" may mean: by this very call.
fn explains(effect: Effect, answer: Answer) -> bool {
    match answer {
        Answer::Unknown => true,
        Answer::Accepted | Answer::Repeated | Answer::Done => effect == Effect::Happens,
        Answer::Unchanged => effect == Effect::Already,
        Answer::Refused(why) => effect == Effect::Refused(why),
        Answer::Gone => matches!(effect, Effect::Happens | Effect::Already | Effect::Refused(Why::NotFound)),
        Answer::Read(shown) => effect == Effect::Shows(shown),
    }
}
