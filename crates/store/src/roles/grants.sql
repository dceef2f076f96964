-- What each role may do, after the migrations. `{p}` is the prefix of the installation's roles, `{all}` all of them,
-- and where owners stand what roles/owner.sql says for each schema.

-- Exactly this, not what an earlier version granted besides.
revoke all on all tables in schema ingest, router, effects, stock, letters, account, retention from {all};
revoke all on all sequences in schema ingest, router, effects, stock, letters, account, retention from {all};
revoke all on all functions in schema letters, account from {all};
revoke all on schema ingest, router, effects, stock, letters, account, retention from {all};

-- Every process looks first whether the schema is the one that it was built for.
grant select on _sqlx_migrations to {all};

-- A schema per owner, written by its service only. Tables of later migrations belong to it as well.
{owners}

-- Letters are shared by all who settle records. Nobody deletes one, and the trail can only be added to.
grant usage on schema letters to {p}ingest, {p}router, {p}effects, {p}stock, {p}replayer;
grant execute on all functions in schema letters to {p}ingest, {p}router, {p}effects, {p}stock, {p}replayer;
grant select, insert, update on letters.letter to {p}ingest, {p}router, {p}effects, {p}stock;
grant select, insert, update, delete on letters.parked to {p}ingest, {p}router, {p}effects, {p}stock, {p}replayer;
grant select, insert, update, delete on letters.beginning, letters.attempt to {p}ingest, {p}router, {p}effects, {p}stock;
grant select, insert on letters.audit to {p}ingest, {p}router, {p}effects, {p}stock, {p}replayer;

-- The replayer changes letters, never makes one, and has an outbox for what follows from it.
grant select, update on letters.letter to {p}replayer;
grant select, insert, update, delete on letters.outbox to {p}replayer;
grant select, insert, delete on letters.output to {p}replayer;

-- It draws the account up,
grant usage on schema account, retention, ingest, router, effects, stock to {p}replayer;
grant execute on all functions in schema account to {p}replayer;
grant select on all tables in schema account to {p}replayer;
alter default privileges in schema account grant select on tables to {p}replayer;
grant select (id, instance, size, received_at) on ingest.spool to {p}replayer;
-- and deletes what was settled long ago. It can't write a row of a ledger, nor change one.
grant select, delete on ingest.raw_record to {p}replayer;
grant select, delete on ingest.decision, router.decision, effects.decision, stock.decision to {p}replayer;
grant select, delete on ingest.output, router.output, effects.output, stock.output to {p}replayer;
grant select (target, op_key, state, settled_at) on effects.effect to {p}replayer;
grant select (target, op_key, step, state, lease_until, updated_at), delete on effects.effect_step to {p}replayer;
grant select (id, published_at), delete on effects.outbox to {p}replayer;
grant select, insert, update on retention.carried, retention.raw to {p}replayer;

-- Whether deliveries wait in the spool: inventory-sync must know how far orders have been heard.
grant usage on schema ingest to {p}stock;
grant select (id) on ingest.spool to {p}stock;

-- The reader is for `tradewind account` and `tradewind trace`: states and reasons, no record and no person.
grant usage on schema account, retention, ingest, router, effects, letters to {p}reader;
grant execute on all functions in schema account to {p}reader;
grant select on all tables in schema account to {p}reader;
alter default privileges in schema account grant select on tables to {p}reader;
grant select on retention.carried, retention.raw to {p}reader;
grant select on ingest.raw_record to {p}reader;
grant select (id, instance, size, received_at) on ingest.spool to {p}reader;
grant select (source, kind, id, seq, source_version, updated_at, deleted) on ingest.entity to {p}reader;
grant select on ingest.backfill, ingest.sweep, ingest.scan to {p}reader;
grant select (source, kind, found_by) on ingest.reread to {p}reader;
grant select (aggregate, sequence, display_number, stage, stage_reason, target, rule, erp_id, erp_number, erp_confirmed, failure_code, created_at, updated_at)
    on router.life to {p}reader;
grant select (target, op_key, ce_id, aggregate, operation, seq, state, started_at, settled_at) on effects.effect to {p}reader;
grant select (target, op_key, step, state, attempt, status, unknown_since, updated_at) on effects.effect_step to {p}reader;
grant select (id, grp, ce_id, source, kind, aggregate, subject, ordinal, state, blocked_by, origin_topic, origin_partition, origin_offset, origin_time_ms,
    class, code, message, fingerprint, attempts, first_failed_at, last_failed_at, retry_at, delays, replays, settled_at, published_at) on letters.letter to {p}reader;
