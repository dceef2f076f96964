-- What inventory-sync owns.
create schema stock;

create table stock.decision (
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
create index decision_counted on stock.decision (source, kind, state);
create index decision_aggregate on stock.decision (aggregate);
create index decision_in_flight on stock.decision (decided_at) where state = 'in_flight' or outputs is not null;

-- Every record that a decision put into a topic, and where: each must show up in its consumers' ledgers.
create table stock.output (
    out_id uuid not null,
    ce_id uuid not null,
    grp text not null,
    topic text not null,
    partition int not null,
    "offset" bigint not null,
    published_at timestamptz not null default now(),
    primary key (out_id)
);
create index output_place on stock.output (topic, partition, "offset");
create index output_of on stock.output (ce_id);
