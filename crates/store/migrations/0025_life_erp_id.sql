-- `tradewind trace` asks by any of four names; one without an index reads the whole table. By itself: it locks one table only.
create index life_erp_id on router.life (erp_id) where erp_id is not null;
