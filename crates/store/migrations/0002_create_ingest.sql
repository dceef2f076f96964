-- What storefront-ingest owns: the spool of the door, the mapper's version guard and its decisions.
create schema ingest;

-- Deliveries taken in while Kafka is away. In arrival order per instance of the door.
create table ingest.spool (
    id bigint generated always as identity primary key,
    instance text not null,
    record bytea not null,
    size int not null,
    received_at timestamptz not null default now(),
    -- While one process drains it.
    claimed_until timestamptz
);
create index spool_instance on ingest.spool (instance, id);

-- Every raw record that the mapper has seen, by where it lies: contiguous up to the committed offset, or something was skipped.
create table ingest.raw_record (
    partition int not null,
    "offset" bigint not null,
    ce_id uuid not null,
    source text not null,
    seen_at timestamptz not null default now(),
    primary key (partition, "offset")
);
create index raw_record_id on ingest.raw_record (ce_id);

-- The version guard: one row per entity, locked while a sequence is assigned.
create table ingest.entity (
    source text not null,
    kind text not null,
    id text not null,
    seq bigint not null,
    -- The source's updated_at, then the time that it was triggered or read: text that sorts.
    source_version text not null,
    updated_at timestamptz not null,
    hash bytea not null,
    -- The encoded entity, to tell which fields a later version changes.
    body bytea not null,
    deleted boolean not null default false,
    primary key (source, kind, id)
);

-- Entities to read again at the source, because a delivery was a delta or two versions claimed the same time.
create table ingest.reread (
    source text not null,
    kind text not null,
    id text not null,
    -- Why, for people.
    reason text not null,
    -- Rises with each request: a read that began before the last one does not settle it.
    generation bigint not null default 1,
    due_at timestamptz not null default now(),
    attempts int not null default 0,
    claimed_until timestamptz,
    primary key (source, kind, id)
);
create index reread_due on ingest.reread (due_at);

create table ingest.decision (
    grp text not null,
    ce_id uuid not null,
    source text not null,
    kind text not null,
    aggregate text not null,
    state text not null check (state in ('in_flight', 'applied', 'superseded', 'discarded')),
    reason text,
    -- Of the record's value, where the same id with other bytes would be an alarm.
    hash bytea,
    -- Output records to the byte; cleared when all are published.
    outputs bytea,
    topic text not null,
    partition int not null,
    "offset" bigint not null,
    decided_at timestamptz not null default now(),
    published_at timestamptz,
    primary key (grp, ce_id)
);
create index decision_counted on ingest.decision (source, kind, state);
create index decision_aggregate on ingest.decision (aggregate);
create index decision_in_flight on ingest.decision (decided_at) where state = 'in_flight' or outputs is not null;

-- Every record that a decision put into a topic, and where: each must show up in its consumers' ledgers.
create table ingest.output (
    out_id uuid not null,
    ce_id uuid not null,
    grp text not null,
    topic text not null,
    partition int not null,
    "offset" bigint not null,
    published_at timestamptz not null default now(),
    primary key (out_id)
);
create index output_place on ingest.output (topic, partition, "offset");
create index output_of on ingest.output (ce_id);
