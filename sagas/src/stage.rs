//! A stage for tests: all keys in one state, on which a saga is played step by step, each decision as the owner makes it.

use crate::processes;
use commands::{
    Action, Command, Decision, Outcome, Own, Process, Refusal, Request, SagaCommand, State, step_command_id,
};
use events::{
    CipherKey, ClaimConfirmed, ClaimReserved, Claimed, CommandId, Commit, Digest, Email, Event, Incarnation, Key,
    PasswordHash, Retention, SagaData, SagaId, Sealable, Sealed, Step, Timestamp, UserCreated, UserId, Username,
};
use journal::{Partition, Position};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

pub(crate) const NOW: Timestamp = Timestamp(1_000_000);
pub(crate) const SAGA: SagaId = SagaId(Uuid::from_u128(1_000));
pub(crate) const ADA: UserId = UserId(Uuid::from_u128(1));

pub(crate) struct Stage {
    state: State,
    commits: u64,
}

pub(crate) fn sealed<T: Sealable>(value: &T) -> Sealed<T> {
    Sealed::seal(value, &CipherKey::new(ADA.into(), &[1; 32]))
}

pub(crate) fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

impl Stage {
    pub(crate) fn empty() -> Self {
        Self { state: State::default(), commits: 0 }
    }

    /// Ada has an account.
    pub(crate) fn with_ada() -> Self {
        let mut stage = Self::empty();
        let created = UserCreated {
            user: ADA,
            email: sealed(&Email::parse("ada@example.com").unwrap()),
            username: sealed(&Username::parse("ada").unwrap()),
            password: sealed(&PasswordHash::new("$argon2id$".to_owned())),
            email_claim: digest(1),
            email_version: 1,
            username_claim: digest(2),
            username_version: 1,
        };
        stage.happens(Key::User(ADA), vec![created.into()]);
        for key in [Key::Email(digest(1)), Key::Username(digest(2))] {
            let (saga, user) = (SagaId(Uuid::from_u128(999)), ADA);
            let reserved = ClaimReserved { saga, user, version: 1 };
            stage.happens(key, vec![reserved.into(), ClaimConfirmed { saga, user, version: 1 }.into()]);
        }
        stage
    }

    pub(crate) fn had(n: u8) -> Claimed {
        Claimed { claim: digest(n), version: 1 }
    }

    /// These events happen, and their names.
    pub(crate) fn happens(&mut self, key: Key, events: Vec<Event>) -> Vec<&'static str> {
        let command = CommandId(Uuid::from_u128(u128::from(self.commits)));
        self.write(key, command, None, events)
    }

    fn write(
        &mut self,
        key: Key,
        command: CommandId,
        undoes: Option<CommandId>,
        events: Vec<Event>,
    ) -> Vec<&'static str> {
        let names = events.iter().map(|event| event.wire_name().0).collect();
        let commit = Commit {
            command,
            ordinal: self.commits,
            incarnation: Incarnation::default(),
            time: NOW,
            actor: None,
            correlation: Uuid::nil(),
            causation: None,
            retention: Retention::Long,
            fingerprint: None,
            undoes,
            events,
        };
        let position = Position { partition: Partition(0), offset: self.commits };
        self.commits += 1;
        self.state.apply(&key, position, &commit);
        names
    }

    /// The names of what happens upon a command.
    pub(crate) fn ask(&mut self, key: Key, command: impl Into<Command>) -> Result<Vec<&'static str>, Refusal> {
        self.ask_as(CommandId(Uuid::from_u128((1 << 64) + u128::from(self.commits))), None, key, command.into())
    }

    fn ask_as(
        &mut self,
        id: CommandId,
        undoes: Option<CommandId>,
        key: Key,
        command: Command,
    ) -> Result<Vec<&'static str>, Refusal> {
        let request = Request::new(id, key, command, NOW, tokio::time::Instant::now());
        match self.state.decide(&request, &processes(Duration::ZERO)) {
            Decision::Happens(events) => Ok(self.write(key, id, undoes, events)),
            Decision::Unchanged(_) | Decision::Repeated(_) => Ok(Vec::new()),
            Decision::Refused(refusal) => Err(refusal),
        }
    }

    /// Begins the saga.
    pub(crate) fn begin<P: Process>(
        &mut self,
        process: &P,
        data: SagaData,
        with: Value,
    ) -> Result<Vec<&'static str>, Refusal> {
        let key = process.key(&data.read().unwrap());
        self.ask(key, SagaCommand::Start { saga: SAGA, data, with })
    }

    /// Carries a step out and tells the saga what came of it; returns what happened on the other key and on its own.
    pub(crate) fn step<P: Process>(
        &mut self,
        process: &P,
        data: &SagaData,
        step: Step,
    ) -> (Result<Vec<&'static str>, Refusal>, Vec<&'static str>) {
        let read: P::Data = data.read().unwrap();
        let own = Own { user: self.state.user(ADA), ..Own::default() };
        let (there, outcome) = match process.action(SAGA, &read, &step, &own) {
            Action::Command(key, command) => {
                let there = self.ask_as(step_command_id(SAGA, &step, false), None, key, command);
                let outcome = match &there {
                    Ok(_) => Outcome::Done { version: Some(7) },
                    Err(refusal) => Outcome::Refused(refusal.to_string()),
                };
                (there, outcome)
            }
            Action::Effect(_) => (Ok(Vec::new()), Outcome::Done { version: None }),
        };
        let here = self.tell(process.key(&read), step, false, outcome);
        (there, here)
    }

    /// Undoes a step and tells the saga.
    pub(crate) fn undo<P: Process>(
        &mut self,
        process: &P,
        data: &SagaData,
        step: Step,
    ) -> (Vec<&'static str>, Vec<&'static str>) {
        let read: P::Data = data.read().unwrap();
        let there = match process.compensation(SAGA, &read, &step).unwrap() {
            Action::Command(key, command) => {
                let undoes = Some(step_command_id(SAGA, &step, false));
                self.ask_as(step_command_id(SAGA, &step, true), undoes, key, command).unwrap()
            }
            Action::Effect(_) => Vec::new(),
        };
        (there, self.tell(process.key(&read), step, true, Outcome::Done { version: None }))
    }

    fn tell(&mut self, key: Key, step: Step, compensation: bool, outcome: Outcome) -> Vec<&'static str> {
        self.ask(key, SagaCommand::Record { saga: SAGA, step, compensation, outcome }).unwrap()
    }
}
