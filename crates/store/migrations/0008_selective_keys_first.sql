-- Keys lead with what tells rows apart. A plan made while a table was new believes that `target = $1` or `grp = $1` leaves a row
-- or two, looks up those alone and filters: with one target and one group that reads the whole table, until the first ANALYZE.
alter table ingest.decision drop constraint decision_pkey, add primary key (ce_id, grp);
alter table router.decision drop constraint decision_pkey, add primary key (ce_id, grp);
alter table effects.decision drop constraint decision_pkey, add primary key (ce_id, grp);
alter table stock.decision drop constraint decision_pkey, add primary key (ce_id, grp);

alter table ingest.entity drop constraint entity_pkey, add primary key (id, kind, source);
alter table ingest.reread drop constraint reread_pkey, add primary key (id, kind, source);

alter table effects.effect drop constraint effect_pkey, add primary key (op_key, target);
alter table effects.effect_step drop constraint effect_step_pkey, add primary key (op_key, step, target);
alter table effects.identity drop constraint identity_pkey, add primary key (match_key, kind, target);
alter table effects.captured drop constraint captured_pkey, add primary key (id, kind, target);

alter table letters.letter drop constraint letter_once, add constraint letter_once unique (ce_id, grp);
alter table letters.parked drop constraint parked_pkey, add primary key (aggregate, grp);

alter table stock.desired drop constraint desired_pkey, add primary key (sku, connection, location);
drop index stock.desired_sku;
alter table stock.item drop constraint item_pkey, add primary key (sku, connection);
