-- A request's id tells repeats of one letter's request: the same id for another letter is another request.
drop index letters.audit_request;
create unique index audit_request on letters.audit (request_id, verb, letter) where request_id is not null;

-- Steps of applied operations go by age; the operations stay, so that looking from those reads ever more of them.
create index step_age on effects.effect_step (updated_at) where state = 'confirmed';

-- `tradewind trace` asks by any of four names; one without an index reads the whole table.
create index life_erp_id on router.life (erp_id) where erp_id is not null;

-- Where outcomes of what people did lie: their readers have to answer for them, too.
create table letters.output (like ingest.output including all);
create or replace view account.output as
    select out_id, ce_id, grp, topic, partition, "offset", published_at from ingest.output
    union all
    select out_id, ce_id, grp, topic, partition, "offset", published_at from router.output
    union all
    select out_id, ce_id, grp, topic, partition, "offset", published_at from effects.output
    union all
    select out_id, ce_id, grp, topic, partition, "offset", published_at from stock.output
    union all
    select out_id, ce_id, grp, topic, partition, "offset", published_at from letters.output;
