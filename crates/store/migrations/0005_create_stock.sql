-- What inventory-sync owns.
create schema stock;

-- The same in every schema: what was decided, and what came of it in Kafka.
create table stock.decision (like ingest.decision including all);
create table stock.output (like ingest.output including all);

-- SKUs that anything is known of. Whoever changes what is known of one holds its row.
create table stock.sku (
    sku text primary key
);

-- What an ERP says of a SKU at one of its places: its newest observation.
create table stock.level (
    target text not null,
    location text not null,
    sku text not null,
    -- Of the change events; guards against older ones.
    sequence bigint not null,
    on_hand numeric not null,
    reserved numeric not null,
    -- When the reading began, by the ERP's clock.
    observed_at timestamptz not null,
    -- Web orders that `reserved` contains, with their quantities.
    open_sales jsonb not null,
    primary key (sku, target, location)
);

-- A web order, from the first that was heard of it.
create table stock.web_order (
    aggregate text primary key,
    connection text not null,
    -- Newest version that was seen; 0: only outcomes so far.
    sequence bigint not null default 0,
    -- Its placing was discarded by a person: no ERP will ever show it.
    discarded boolean not null default false,
    -- The ERP that confirmed it, with which version, and when by that ERP's clock.
    confirmed_target text,
    confirmed_sequence bigint,
    confirmed_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint web_order_confirmed check (num_nulls(confirmed_target, confirmed_sequence, confirmed_at) in (0, 3))
) with (fillfactor = 80);

-- What a web order takes of one SKU.
create table stock.line (
    aggregate text not null,
    sku text not null,
    connection text not null,
    -- As the shop says now; 0 once cancelled.
    quantity numeric not null,
    -- [[sequence, quantity], ...]: versions of the order that changed it.
    history jsonb not null,
    -- {"<target>/<location>": quantity}: the most that was listed among that place's open sales.
    listed jsonb not null,
    -- What follows from the above, so that it can be summed up. How much counts where nothing newer than the order is known,
    unlisted numeric not null,
    -- and how much where an observation began after the ERP's confirm.
    unconfirmed numeric not null,
    confirmed_target text,
    confirmed_at timestamptz,
    -- It may still count somewhere.
    open boolean not null,
    primary key (aggregate, sku)
) with (fillfactor = 80);
create index line_open on stock.line (sku) where open;

-- What a shop shall show of a SKU at a location, and what we know of what it shows.
create table stock.desired (
    connection text not null,
    location text not null,
    sku text not null,
    on_hand numeric not null,
    reserved numeric not null,
    pending numeric not null,
    buffer numeric not null,
    available bigint not null,
    -- Of the availability events.
    sequence bigint not null,
    -- An event of that sequence that no input record led to, until it is produced.
    unannounced bytea,
    -- Rises whenever the shop has to be told, be it the same level again.
    generation bigint not null default 1,
    changed_at timestamptz not null default now(),
    pushed_generation bigint not null default 0,
    dirty_since timestamptz default now(),
    -- When the pusher looks at it next.
    due_at timestamptz not null default now(),
    -- All that web orders took off the shop's level since this row exists, and all that may have been put back.
    taken numeric not null default 0,
    given numeric not null default 0,
    -- The level that the shop showed when we last knew, and what was taken and given by then.
    shown bigint,
    shown_taken numeric,
    shown_given numeric,
    -- A level that was sent, while nobody knows whether it was set.
    sent bigint,
    sent_taken numeric,
    sent_given numeric,
    -- The shop shows something else: look before the next push.
    stale boolean not null default false,
    -- Since when it shows less than we can explain.
    drift_since timestamptz,
    problem text,
    problem_detail text,
    primary key (connection, location, sku),
    constraint desired_problem check (problem in ('unknown_sku', 'ambiguous_sku', 'not_stocked', 'refused')),
    constraint desired_shown check (num_nulls(shown, shown_taken, shown_given) in (0, 3)),
    constraint desired_sent check (num_nulls(sent, sent_taken, sent_given) in (0, 3))
) with (fillfactor = 70);
create index desired_sku on stock.desired (sku);
create index desired_dirty on stock.desired (connection, due_at) where generation > pushed_generation;
create index desired_unannounced on stock.desired (connection) where unannounced is not null;

-- The shop's stock item of a SKU.
create table stock.item (
    connection text not null,
    sku text not null,
    item text not null,
    resolved_at timestamptz not null default now(),
    primary key (connection, sku)
);
