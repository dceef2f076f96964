-- Versions up to this one were given up before any ERP was told of the order: they never count, a later one may.
alter table stock.web_order add column given_up bigint not null default 0;
