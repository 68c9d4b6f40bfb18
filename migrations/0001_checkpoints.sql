-- Which log all of this is built from. One row; a node over another log is refused before it has written anything.
create table built_from (
    only_row boolean primary key default true check (only_row),
    log text not null
);

-- How far each read model has come in each partition of the log. Written in the transaction that writes the data, under
-- the condition that it still stands where the worker believes it to stand: so a worker that was paused writes nothing.
create table checkpoints (
    model text not null,
    partition bigint not null,
    -- Which build of the read model this is.
    generation bigint not null,
    -- Counts the writes.
    revision bigint not null,
    -- The first offset that is not applied.
    next bigint not null,
    -- The chain of the last valid record before it, where that stands, and whose tenure it was.
    head bytea not null check (length(head) = 32),
    head_offset bigint,
    incarnation uuid,
    -- By key what stopped there: {"error", "since" in microseconds, "offsets"}. Positions only, nothing that people wrote.
    parked text not null default '{}',
    primary key (model, partition)
);
