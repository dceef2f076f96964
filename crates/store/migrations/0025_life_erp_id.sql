-- no-transaction
-- `tradewind trace` asks by any of four names; one without an index reads the whole table. Writers go on.
create index concurrently if not exists life_erp_id on router.life (erp_id) where erp_id is not null;
