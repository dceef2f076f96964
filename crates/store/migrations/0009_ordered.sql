-- The most that was ordered of a SKU, also where it was refunded before we saw the order: the shop took all of it off its level.
alter table stock.line add column ordered numeric not null default 0;
update stock.line set ordered = quantity;
