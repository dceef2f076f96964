-- A request's id tells repeats of one letter's request: the same id for another letter is another request. By itself, because
-- services lock what they audit before the audit: a migration that holds this table may wait for nothing of theirs.
drop index letters.audit_request;
create unique index audit_request on letters.audit (request_id, verb, letter) where request_id is not null;
