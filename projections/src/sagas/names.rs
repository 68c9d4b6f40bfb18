//! Names and plans, each held once however many sagas have it.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The names of processes and steps, and the plans that are made of them: few, and the same in every saga.
#[derive(Default)]
pub(super) struct Names {
    names: BTreeSet<Arc<str>>,
    plans: BTreeSet<Arc<[Arc<str>]>>,
}

impl Names {
    pub(super) fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(name) = self.names.get(name) {
            return Arc::clone(name);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        name
    }

    pub(super) fn plan<'a>(&mut self, steps: impl Iterator<Item = &'a str>) -> Arc<[Arc<str>]> {
        let plan = steps.map(|step| self.shared(step)).collect::<Vec<_>>();
        if let Some(plan) = self.plans.get(plan.as_slice()) {
            return Arc::clone(plan);
        }
        let plan: Arc<[Arc<str>]> = plan.into();
        self.plans.insert(Arc::clone(&plan));
        plan
    }
}
