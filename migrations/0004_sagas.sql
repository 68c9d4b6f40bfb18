-- Sagas: every one that is not over, and the last of those that are. All of it is one read model: written by projectors
-- alone, from the log alone. What is said of a saga in the other tables goes with its row.

create table sagas (
    id uuid primary key,
    type varchar(50) not null,
    status varchar(20) not null
        check (status in ('RUNNING', 'COMPLETED', 'COMPENSATING', 'COMPENSATED', 'COMPENSATION_FAILED')),
    -- For each step of its plan whether it is done.
    steps jsonb not null,
    -- The key of the log that it is on; the person, if it is a person's; and on whose behalf it began.
    key text not null,
    owner_id uuid,
    actor_id uuid,
    reason text,
    failure text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    progressed_at timestamptz not null,
    -- Null while something is still to be done, be it by a person.
    ended_at timestamptz,
    -- The names of all its steps, and the steps that it has taken with what came of them.
    plan jsonb not null,
    taken jsonb not null,
    -- How many events there were of it; some five hundred are kept.
    events_count bigint not null
);
-- Page by page, and the open ones apart: they are few, and looked through for those that do not get on.
create index sagas_oldest on sagas (created_at, id);
create index sagas_open on sagas (type, status, created_at, id) where ended_at is null;
-- For deletions: what is under way that concerns somebody, and what is over.
create index sagas_of_owner on sagas (owner_id, id) where owner_id is not null;
create index sagas_of_actor on sagas (actor_id, id) where actor_id is not null;

-- What happened to a saga, the first events and the newest ones.
create table saga_events (
    saga_id uuid not null references sagas (id) on delete cascade,
    number bigint not null,
    created_at timestamptz not null,
    -- Where it stands in the log.
    partition bigint not null,
    position bigint not null,
    event_type varchar(50) not null,
    step text,
    compensation boolean not null,
    detail text,
    -- Which operator ordered it.
    ordered_by uuid,
    primary key (saga_id, number)
);

-- What was requested and has no outcome yet. It shows the log, which is what is sent from: nobody delivers from here.
create table event_outbox (
    id uuid primary key,
    saga_id uuid not null references sagas (id) on delete cascade,
    event_type varchar(50) not null,
    payload jsonb not null,
    retry_count integer not null default 0
);
-- A saga's rows are written anew with each change of it.
create index event_outbox_of_saga on event_outbox (saga_id);

-- Of sagas that are on a person's key.
create table user_saga_log (
    saga_id uuid primary key references sagas (id) on delete cascade,
    user_id uuid not null,
    compensation_status varchar(20) not null check (compensation_status in ('PENDING', 'COMPLETED', 'FAILED'))
);

-- Of sagas that create a post.
create table post_saga_log (
    saga_id uuid primary key references sagas (id) on delete cascade,
    post_id uuid not null,
    current_step varchar(50) not null,
    -- What an undo has to take back; null when there is nothing to undo any more.
    compensation_data jsonb
);

-- The last ends of each process, in each partition of the log. Some are of sagas that began again since, or are kept no
-- longer: so what is kept of others does not depend on when the end of a person was read.
create table saga_ends (
    partition bigint not null,
    type varchar(50) not null,
    ended_at timestamptz not null,
    saga_id uuid not null,
    primary key (partition, type, ended_at, saga_id)
);

-- Whose key is destroyed, for good: no saga of theirs is kept that has ended, but their deletion.
create table saga_gone (
    user_id uuid primary key
);
