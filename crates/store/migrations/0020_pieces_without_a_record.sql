-- Pieces by line that an order was confirmed without and of which no refund had told by then: one that does so later is not booked.
alter table router.life add column unrecorded jsonb not null default '{}';
