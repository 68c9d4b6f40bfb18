-- Posts, and what lies under them. All of it is a read model: written by projectors alone, from the log alone.

create table posts (
    id uuid primary key,
    author_id uuid not null,
    -- Empty where nobody is shown it any more: its author is gone, or their key is destroyed.
    content text not null,
    status varchar(20) not null default 'PUBLISHED' check (status in ('DRAFT', 'PUBLISHED', 'DELETED')),
    -- When it was published; of a draft when it was drafted.
    created_at timestamptz not null default now(),
    -- Whether it is still in creation. A draft of somebody who is gone is DELETED and still a draft, which only its saga
    -- makes an end of.
    draft boolean not null default false,
    -- Folded, and people, both in the order of first appearance.
    hashtags text[] not null default '{}',
    mentions uuid[] not null default '{}',
    -- 1, and one more with each edit.
    version bigint not null default 1,
    edited_at timestamptz,
    -- What is shown of the rows of these tables.
    likes_count bigint not null default 0 check (likes_count >= 0),
    comments_count bigint not null default 0 check (comments_count >= 0)
);
-- Everybody's posts page by page. What is not listed is not in it, so a page reads as many entries as it shows.
create index posts_newest on posts (created_at desc, id desc) where status = 'PUBLISHED';
-- Somebody's posts page by page, and how many there are.
create index posts_of_author on posts (author_id, created_at desc, id desc) where status = 'PUBLISHED';
-- All that somebody has left, also what nobody is shown: for deletions, and for whoever is gone from now on.
create index posts_left_by on posts (author_id, draft);

-- What a post said before it was edited; the newest version is the post. Some fifty are kept.
create table post_versions (
    post_id uuid not null references posts (id) on delete cascade,
    number bigint not null,
    content text not null,
    hashtags text[] not null,
    mentions uuid[] not null,
    created_at timestamptz not null,
    primary key (post_id, number)
);

-- Which posts that are listed have which hashtag. The key is the order of a page. A hashtag may be longer than what an index
-- takes, so it stands here as its SHA-256; its text is in the posts.
create table hashtags (
    tag bytea not null check (length(tag) = 32),
    created_at timestamptz not null,
    post_id uuid not null references posts (id) on delete cascade,
    primary key (tag, created_at, post_id)
);
-- For posts that are edited or deleted.
create index hashtags_of_post on hashtags (post_id);

-- A comment is found under its post, and a post is on one partition of the log: with the post in the key no two projectors
-- ever meet in one row.
create table comments (
    id uuid not null,
    post_id uuid not null references posts (id) on delete cascade,
    author_id uuid not null,
    -- Empty where nobody is shown it any more.
    text text not null,
    created_at timestamptz not null default now(),
    hidden boolean not null default false,
    -- Copied, to find what somebody has to do with an author.
    post_author_id uuid not null,
    primary key (post_id, id)
);
-- What is shown under a post, page by page.
create index comments_oldest on comments (post_id, created_at, id) where not hidden;
-- What somebody has left under posts of others, and since when.
create index comments_left_by on comments (author_id, post_author_id, created_at);

create table likes (
    post_id uuid not null references posts (id) on delete cascade,
    user_id uuid not null,
    created_at timestamptz not null default now(),
    hidden boolean not null default false,
    post_author_id uuid not null,
    primary key (post_id, user_id)
);
-- Who likes a post, page by page.
create index likes_newest on likes (post_id, created_at desc, user_id desc) where not hidden;
-- As for comments.
create index likes_left_by on likes (user_id, post_author_id, created_at);

-- Whose account is disabled or whose key is destroyed, for good. What they did on other partitions may be applied before
-- or after that is heard of. Whoever adds somebody holds off all who write posts, comments and likes (`lock table`), and
-- so either sees what they have written or is seen by them.
create table gone (
    user_id uuid primary key
);
