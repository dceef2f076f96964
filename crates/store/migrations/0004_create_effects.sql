-- What erp-adapter owns.
create schema effects;

-- The same in every schema: what was decided, and what came of it in Kafka.
create table effects.decision (like ingest.decision including all);
create table effects.output (like ingest.output including all);

-- One operation on one target, once for its key, for ever.
create table effects.effect (
    target text not null,
    op_key text not null,
    -- The command that asked for it first.
    ce_id uuid not null,
    aggregate text not null,
    operation text not null,
    seq bigint not null,
    state text not null check (state in ('in_flight', 'applied', 'rejected')),
    -- What its steps have learned: ids and numbers in the target.
    findings jsonb not null default '{}',
    started_at timestamptz not null default now(),
    settled_at timestamptz,
    primary key (target, op_key)
);
create index effect_aggregate on effects.effect (aggregate);

-- One request of an operation. Claimed, with a new fence, and committed before it is sent.
create table effects.effect_step (
    target text not null,
    op_key text not null,
    step text not null,
    -- pending: certainly not applied, to be sent (again). unknown: sent, no answer to rely on.
    state text not null check (state in ('pending', 'in_flight', 'unknown', 'confirmed', 'rejected')),
    attempt int not null default 1,
    -- The process that claimed it, and until when nobody else may.
    owner uuid not null,
    -- Rises with every claim and every result.
    fence bigint not null,
    lease_until timestamptz not null,
    -- Look-ups that found nothing since the answer became unknown.
    looks int not null default 0,
    unknown_since timestamptz,
    -- What it learned.
    findings jsonb not null default '{}',
    -- The code of its last failure.
    status text,
    updated_at timestamptz not null default now(),
    primary key (target, op_key, step)
);
create index effect_step_unknown on effects.effect_step (unknown_since) where state = 'unknown';

-- Records of a target that many commands share. One caller finds or creates, the others wait.
create table effects.identity (
    target text not null,
    kind text not null,
    match_key text not null,
    -- What the step that claimed it learned; null while it is being found or created.
    findings jsonb,
    claimed_by text not null,
    claimed_until timestamptz not null,
    primary key (target, kind, match_key)
);

-- How far a capture has come.
create table effects.cursor (
    target text not null,
    name text not null,
    value jsonb not null,
    updated_at timestamptz not null default now(),
    primary key (target, name)
);

-- The version guard of captured entities: what was last said of each.
create table effects.captured (
    target text not null,
    kind text not null,
    id text not null,
    seq bigint not null,
    hash bytea not null,
    -- The encoded entity, to tell which fields a later version changes.
    body bytea not null,
    observed_at timestamptz not null,
    primary key (target, kind, id)
);

-- Records born without an input: captures. Stored with the cursor that they move, produced in order by one relay per target.
create table effects.outbox (
    id bigint generated always as identity primary key,
    target text not null,
    out_id uuid not null,
    record bytea,
    created_at timestamptz not null default now(),
    published_at timestamptz
);
create index outbox_open on effects.outbox (target, id) where published_at is null;
