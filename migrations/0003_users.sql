-- Accounts, and what there is between people. All of it is a read model: written by projectors alone, from the log alone.

create table users (
    id uuid primary key,
    -- As their owners write them. Whoever was seen to take one that somebody else was not yet seen to give up has it, if
    -- theirs is the newer claim; the other holds `released:{id}` here, and what they had stands beside it.
    email text unique not null,
    username text unique not null,
    lost_email text,
    lost_username text,
    avatar_url text,
    bio text,
    role varchar(20) not null default 'user',
    created_at timestamptz not null default now(),
    -- What the account is found by: HMACs of the folded forms, and which reservation of each of them this is.
    email_claim bytea not null check (length(email_claim) = 32),
    email_version bigint not null,
    username_claim bytea not null check (length(username_claim) = 32),
    username_version bigint not null
);
-- Who has an address or a name now: the newest claim. For each login, each mention and each look for a name.
create index users_by_email on users (email_claim, email_version desc, id desc);
create index users_by_username on users (username_claim, username_version desc, id desc);

-- Apart from users, so that whoever may read these need not be let see hashes of passwords.
create table credentials (
    user_id uuid primary key references users (id) on delete cascade,
    -- A PHC string.
    password text not null,
    -- Counts the passwords of the account.
    version bigint not null
);

-- Accounts that are not in users but were: disabled, or unreadable since their key is destroyed. For good.
create table tombstones (
    user_id uuid primary key,
    disabled boolean not null,
    -- What their deletion has to release; null when it has, or when nothing was claimed.
    email_claim bytea,
    email_version bigint,
    username_claim bytea,
    username_version bigint
);

-- Also those of whom one has no account here: it may be seen later, and a deletion must find what there is.
create table followers (
    follower_id uuid not null,
    followee_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (follower_id, followee_id)
);
-- Who follows somebody, and whom somebody follows, page by page.
create index followers_newest on followers (followee_id, created_at desc, follower_id desc);
create index following_newest on followers (follower_id, created_at desc, followee_id desc);

-- How many rows of followers there are of somebody, either way.
create table follow_counts (
    user_id uuid primary key,
    followers bigint not null,
    following bigint not null
);

-- All of those in followers who are not in users: what is shown is the count less those of it who are in here. That is few:
-- those whose account was not seen yet, and those who are being deleted.
create table absent (
    user_id uuid primary key
);

create table blocks (
    user_id uuid not null,
    target_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (user_id, target_id)
);
-- Whom somebody blocks, page by page; and who blocks somebody, whom these two do not see.
create index blocks_newest on blocks (user_id, created_at desc, target_id desc);
create index blocks_against on blocks (target_id, user_id);

create table mutes (
    user_id uuid not null,
    target_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (user_id, target_id)
);
-- Whom somebody mutes, page by page; and for deletions, who mutes somebody.
create index mutes_newest on mutes (user_id, created_at desc, target_id desc);
create index mutes_against on mutes (target_id, user_id);
