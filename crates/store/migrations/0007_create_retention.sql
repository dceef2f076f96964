-- What is left of rows that were settled long ago and are gone. The account adds it to what it counts, so that its sums stay.
create schema retention;

-- Obligations without rows, as the lines of the account.
create table retention.carried (
    grp text not null,
    source text not null,
    kind text not null,
    state text not null check (state in ('applied', 'superseded', 'discarded')),
    -- Empty: none.
    reason text not null,
    count bigint not null,
    primary key (grp, source, kind, state, reason)
);

-- Raw records without rows, by partition. Counted, so that a gap between them stays as visible as it was.
create table retention.raw (
    partition int primary key,
    -- The lowest offset among them, and the one after the highest.
    first bigint not null,
    next bigint not null,
    count bigint not null,
    -- Those among them that were repeats of another.
    repeats bigint not null
);

-- Rows are found by age. They lie in its order, so the smallest kind of index will do, and writers don't feel it.
create index decision_age on ingest.decision using brin (decided_at) with (autosummarize = on);
create index decision_age on router.decision using brin (decided_at) with (autosummarize = on);
create index decision_age on effects.decision using brin (decided_at) with (autosummarize = on);
create index decision_age on stock.decision using brin (decided_at) with (autosummarize = on);
create index output_age on ingest.output using brin (published_at) with (autosummarize = on);
create index output_age on router.output using brin (published_at) with (autosummarize = on);
create index output_age on effects.output using brin (published_at) with (autosummarize = on);
create index output_age on stock.output using brin (published_at) with (autosummarize = on);

-- When the record of a settled letter was dropped; who failed, why, and what was done about it stays.
alter table letters.letter add column body_dropped_at timestamptz;
create index letter_body on letters.letter (settled_at) where body_dropped_at is null and settled_at is not null;
