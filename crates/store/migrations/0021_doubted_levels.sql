-- What web orders will have taken off a level when all has come that was missing at `drift_since`.
alter table stock.desired add column drift_taken numeric;
