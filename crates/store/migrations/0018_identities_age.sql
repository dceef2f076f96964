-- What was learned of a shared record serves those who come at the same time. Later it may be another one: merged, deleted, or its
-- address given to somebody else. Without a time it is old.
alter table effects.identity add column found_at timestamptz;
