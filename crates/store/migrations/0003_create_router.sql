-- What order-router owns.
create schema router;

-- The same in every schema: what was decided, and what came of it in Kafka.
create table router.decision (like ingest.decision including all);
create table router.output (like ingest.output including all);


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

