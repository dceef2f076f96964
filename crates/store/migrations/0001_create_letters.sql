-- Dead letters and parked keys: the one schema that several services share. Who settles a group's records writes here under
-- the parked row's lock; the replayer changes states here, and the group's own drainer takes from here.
create schema letters;

create table letters.letter (
    id uuid primary key,
    -- The consumer group that gave up.
    grp text not null,
    -- The record's id. Topic, partition and offset are evidence, not identity.
    ce_id uuid not null,
    -- The connection (or target) and the kind of entity, for the account.
    source text not null,
    kind text not null,
    aggregate text not null,
    -- What a later good version must be about to supersede this one; only where the stream's policy is latest_wins.
    subject text,
    -- Orders the letters of one key.
    ordinal bigint generated always as identity,
    state text not null check (state in ('dead', 'held', 'replaying', 'applied', 'superseded', 'discarded')),
    blocked_by uuid,
    origin_topic text not null,
    origin_partition int not null,
    origin_offset bigint not null,
    origin_time_ms bigint not null,
    key bytea not null,
    value bytea not null,
    -- The record's headers as they were, encoded.
    headers bytea not null,
    class text,
    code text,
    message text,
    causes text[] not null default '{}',
    fingerprint text,
    missing text,
    attempts int not null default 0,
    first_failed_at timestamptz not null default now(),
    last_failed_at timestamptz not null default now(),
    replays int not null default 0,
    settled_at timestamptz,
    -- When the published copy was produced.
    published_at timestamptz,
    constraint letter_once unique (grp, ce_id)
);
create index letter_open on letters.letter (grp, aggregate, ordinal) where state in ('dead', 'held', 'replaying');
create index letter_subject on letters.letter (grp, subject) where state = 'dead' and subject is not null;
create index letter_unpublished on letters.letter (ordinal) where published_at is null and state = 'dead';
create index letter_listed on letters.letter (last_failed_at desc, id);

-- A row means: letters of this key are open, and where the stream parks, later records of the key are held. It goes only when
-- no letter of the key is open any more, under its own lock.
create table letters.parked (
    grp text not null,
    aggregate text not null,
    head uuid not null,
    -- False: the head is dead and somebody has to act. True: its letters are being drained in order.
    draining boolean not null default false,
    since timestamptz not null default now(),
    -- The one process that drains this key.
    claimed_by uuid,
    claimed_until timestamptz,
    primary key (grp, aggregate)
);
create index parked_due on letters.parked (grp, claimed_until) where draining;

-- Who did what. Append only; each row's hash covers the row before it.
create table letters.audit (
    n bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor text not null,
    verb text not null,
    letter uuid,
    detail text not null default '',
    -- Repeating a request with the same id changes nothing.
    request_id text,
    prev bytea not null,
    hash bytea not null
);
create unique index audit_request on letters.audit (verb, request_id) where request_id is not null;
create index audit_letter on letters.audit (letter, n);
create rule audit_no_update as on update to letters.audit do instead nothing;
create rule audit_no_delete as on delete to letters.audit do instead nothing;

-- The one way to write a row of it. The lock makes the chain a chain.
create function letters.append_audit(actor text, verb text, letter uuid, detail text, request_id text) returns void
language plpgsql as $$
declare
    before bytea;
    moment timestamptz := clock_timestamp();
begin
    perform pg_advisory_xact_lock(7301);
    select a.hash into before from letters.audit a order by a.n desc limit 1;
    before := coalesce(before, '\x');
    insert into letters.audit (at, actor, verb, letter, detail, request_id, prev, hash)
    values (moment, actor, verb, letter, detail, request_id, before, letters.audit_hash(before, moment, actor, verb, letter, detail));
end
$$;

create function letters.audit_hash(prev bytea, at timestamptz, actor text, verb text, letter uuid, detail text) returns bytea
language sql immutable as $$
    select sha256(prev || convert_to(concat_ws(chr(31), extract(epoch from at)::text, actor, verb, coalesce(letter::text, ''), detail), 'UTF8'))
$$;

-- Outcomes of what people did here; relayed by the replayer.
create table letters.outbox (
    id bigint generated always as identity primary key,
    record bytea not null,
    created_at timestamptz not null default now(),
    published_at timestamptz
);
create index outbox_open on letters.outbox (id) where published_at is null;
