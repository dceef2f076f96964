-- Marking a decision as published is a new version of its row, and PostgreSQL can keep that on the row's own page, out of all
-- indexes, where no index looks at what changed and the page has room: https://www.postgresql.org/docs/current/storage-hot.html
-- So none asks for outputs any more; what waits is still found by its age.
drop index ingest.decision_in_flight, router.decision_decided_at_idx, effects.decision_decided_at_idx, stock.decision_decided_at_idx;
create index decision_waiting on ingest.decision (decided_at) where state = 'in_flight';
create index decision_waiting on router.decision (decided_at) where state = 'in_flight';
create index decision_waiting on effects.decision (decided_at) where state = 'in_flight';
create index decision_waiting on stock.decision (decided_at) where state = 'in_flight';
alter table ingest.decision set (fillfactor = 70);
alter table router.decision set (fillfactor = 70);
alter table effects.decision set (fillfactor = 70);
alter table stock.decision set (fillfactor = 70);

-- Nobody asks by these.
drop index ingest.decision_counted, router.decision_source_kind_state_idx, effects.decision_source_kind_state_idx,
    stock.decision_source_kind_state_idx;
drop index ingest.output_place, router.output_topic_partition_offset_idx, effects.output_topic_partition_offset_idx,
    stock.output_topic_partition_offset_idx;
