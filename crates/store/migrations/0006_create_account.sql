-- The account reads every ledger and writes none.
create schema account;

create view account.decision as
    select grp, ce_id, source, kind, aggregate, state, reason, outputs is not null as unpublished, decided_at from ingest.decision
    union all select grp, ce_id, source, kind, aggregate, state, reason, outputs is not null, decided_at from router.decision
    union all select grp, ce_id, source, kind, aggregate, state, reason, outputs is not null, decided_at from effects.decision
    union all select grp, ce_id, source, kind, aggregate, state, reason, outputs is not null, decided_at from stock.decision;

create view account.output as
    select out_id, ce_id, grp, topic, partition, "offset", published_at from ingest.output
    union all select out_id, ce_id, grp, topic, partition, "offset", published_at from router.output
    union all select out_id, ce_id, grp, topic, partition, "offset", published_at from effects.output
    union all select out_id, ce_id, grp, topic, partition, "offset", published_at from stock.output;

-- One place that says what state an obligation is in. A letter knows better than a decision, until it is settled.
create function account.state(letter text, decision text, unpublished boolean) returns text
language sql immutable as $$
    select case
        when letter in ('dead', 'held') then letter
        when letter = 'replaying' then 'in_flight'
        when letter in ('superseded', 'discarded') then letter
        when decision is null then letter
        when unpublished then 'in_flight'
        else decision
    end
$$;
