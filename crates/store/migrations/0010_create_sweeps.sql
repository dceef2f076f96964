-- Sweeps: what webhooks did not tell is found by listing what changed at the source.

-- How far each kind of each connection is listed. All times but `swept_at` are the source's own.
create table ingest.sweep (
    source text not null,
    kind text not null,
    -- Everything that changed before it was listed, and what was not known was ordered.
    position timestamptz not null,
    -- What changed before it is none of ours, unless a backfill asks for it.
    floor timestamptz not null,
    -- `position` when all wanted subscriptions were last seen present.
    present_position timestamptz,
    -- The last sweep that came to its end.
    swept_at timestamptz,
    primary key (source, kind)
);

-- The full scan of a kind: the running one, or else the last.
create table ingest.scan (
    source text not null,
    kind text not null,
    -- It lists what changed since then, at the source,
    since timestamptz not null,
    -- and expects to find what we knew as alive up to then. Null: nothing was known.
    until timestamptz,
    -- Where the connector goes on. Null: at `since`, or it has listed all.
    cursor text,
    state text not null check (state in ('listing', 'done')),
    listed bigint not null default 0,
    ordered bigint not null default 0,
    missing bigint not null default 0,
    begun_at timestamptz not null default now(),
    done_at timestamptz,
    primary key (source, kind)
);

-- What the running scan has listed.
create table ingest.scan_seen (
    source text not null,
    kind text not null,
    id text not null,
    primary key (id, kind, source)
);

-- Backfills that somebody ordered. One at a time per kind of a connection.
create table ingest.backfill (
    id bigint generated always as identity primary key,
    source text not null,
    kind text not null,
    since timestamptz not null,
    cursor text,
    -- `reading`: all is listed, and what was ordered is being read.
    state text not null default 'listing' check (state in ('listing', 'reading', 'done')),
    listed bigint not null default 0,
    ordered bigint not null default 0,
    asked_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    done_at timestamptz
);
create unique index backfill_open on ingest.backfill (source, kind) where state <> 'done';

-- Versions that a listing showed, that were ordered and are not known yet: each is ordered once.
create table ingest.sighting (
    source text not null,
    kind text not null,
    id text not null,
    updated_at timestamptz not null,
    ordered_at timestamptz not null default now(),
    orders int not null default 1,
    primary key (id, kind, source)
);

-- When a connection's last delivery came through any door.
create table ingest.pulse (
    source text primary key,
    last_delivery_at timestamptz not null
);

-- Who found that an entity has to be read. Null: a delivery told of it.
alter table ingest.reread add column found_by text check (found_by in ('sweep', 'scan', 'backfill'));
-- The version that was listed: where it is known before it is read, nothing has to be read.
alter table ingest.reread add column wanted timestamptz;
-- Live ones first.
alter table ingest.reread add column priority smallint not null
    generated always as (case when found_by is null then 0 when found_by = 'sweep' then 1 else 2 end) stored;
drop index ingest.reread_due;
create index reread_due on ingest.reread (priority, due_at);
