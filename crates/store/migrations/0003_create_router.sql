-- What order-router owns.
create schema router;

create table router.decision (
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
create index decision_counted on router.decision (source, kind, state);
create index decision_aggregate on router.decision (aggregate);
create index decision_in_flight on router.decision (decided_at) where state = 'in_flight' or outputs is not null;

-- Every record that a decision put into a topic, and where: each must show up in its consumers' ledgers.
create table router.output (
    out_id uuid not null,
    ce_id uuid not null,
    grp text not null,
    topic text not null,
    partition int not null,
    "offset" bigint not null,
    published_at timestamptz not null default now(),
    primary key (out_id)
);
create index output_place on router.output (topic, partition, "offset");
create index output_of on router.output (ce_id);


-- The life of one order, from its first change event. One row per aggregate key; the order's sequence guards it.
create table router.life (
    aggregate text primary key,
    -- Of the newest version that was seen.
    sequence bigint not null,
    -- That version, encoded (tradewind.orders.v1.Order): what a refund is booked against, what the next version is compared with.
    order_value bytea not null,
    -- For finding orders.
    display_number text not null,
    customer_id text not null,
    skus text[] not null,
    stage text not null,
    -- Of a held order: the hold's reason; of a dropped one: why it was never placed.
    stage_reason text,
    -- Both are set when the order is placed, and stay for its life.
    target text,
    rule text,
    -- The change event whose obligation waits while the order is held.
    waiting_event uuid,
    -- Per operation what became of it: sent, replaying, dead, discarded, superseded, applied; null = never commanded.
    place_state text,
    place_at timestamptz,
    confirm_state text,
    confirm_at timestamptz,
    revise_state text,
    revise_at timestamptz,
    -- Of the newest revision that was commanded.
    revise_sequence bigint,
    cancel_state text,
    cancel_at timestamptz,
    -- What the target calls it.
    erp_id text,
    erp_number text,
    -- The target says that it is confirmed.
    erp_confirmed boolean not null default false,
    -- Code of the newest failure that no later success cured.
    failure_code text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint life_stage check (stage in ('held', 'placed', 'cancelled', 'dropped')),
    constraint life_target check ((target is not null) = (stage in ('placed', 'cancelled')))
) with (fillfactor = 80);
create index life_display_number on router.life (display_number);
create index life_erp_number on router.life (erp_number) where erp_number is not null;
create index life_customer on router.life (customer_id) where customer_id <> '';
create index life_skus on router.life using gin (skus);
create index life_held on router.life (updated_at) where stage = 'held';

-- Refunds: those that wait for their order, and those that were sent (a refund is booked once). A row may be here before its order has a life.
create table router.refund (
    aggregate text not null,
    refund_id text not null,
    -- The order in which refunds of an order came; they are released in it.
    arrived bigint generated always as identity,
    sequence bigint not null,
    -- The change event that brought this version; while it waits, its obligation.
    event uuid not null,
    -- Encoded (tradewind.refunds.v1.Refund).
    value bytea not null,
    -- waiting, or as an operation's state above.
    state text not null,
    state_at timestamptz,
    reason text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (aggregate, refund_id)
);
create index refund_waiting on router.refund (aggregate, arrived) where state = 'waiting';

-- Newest version of each customer that was sent to the targets.
create table router.customer (
    aggregate text primary key,
    sequence bigint not null,
    updated_at timestamptz not null default now()
);

