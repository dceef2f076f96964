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
