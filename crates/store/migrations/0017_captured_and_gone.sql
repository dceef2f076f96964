-- A comparison of everything sees all that is there: what it does not come by is gone at its target, which tells nobody.
alter table effects.captured
    add column seen_at timestamptz not null default now(),
    add column gone boolean not null default false;
