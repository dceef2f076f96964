-- A record whose next try is far off waits as a letter, its key parked behind it, instead of in memory with its offset.
alter table letters.letter
    drop constraint letter_state_check,
    add constraint letter_state_check check (state in ('dead', 'held', 'waiting', 'replaying', 'applied', 'superseded', 'discarded')),
    -- Of a waiting one: when it is tried again, or earlier if what it misses appears.
    add column retry_at timestamptz,
    -- How often it was put off since it was first read, or since somebody last asked for a replay.
    add column delays int not null default 0,
    add constraint letter_waits_until check ((state = 'waiting') = (retry_at is not null));
create index letter_due on letters.letter (grp, retry_at) where state = 'waiting';
create index letter_missing on letters.letter (grp, missing) where state = 'waiting' and missing is not null;
drop index letters.letter_open;
create index letter_open on letters.letter (grp, aggregate, ordinal) where state in ('dead', 'held', 'waiting', 'replaying');
drop index letters.letter_subject;
create index letter_subject on letters.letter (grp, subject) where state in ('dead', 'waiting') and subject is not null;

create or replace function account.state(letter text, decision text, unpublished boolean) returns text
language sql immutable as $$
    select case
        when letter in ('dead', 'held') then letter
        when letter in ('replaying', 'waiting') then 'in_flight'
        when letter in ('superseded', 'discarded') then letter
        when decision is null then letter
        when unpublished then 'in_flight'
        else decision
    end
$$;

-- Why it is in that state: a letter's own reason goes before that of a decision.
create function account.reason(letter text, code text, decision text) returns text
language sql immutable as $$
    select case
        when letter in ('dead', 'replaying', 'discarded') then code
        when letter = 'waiting' then letter
        else decision
    end
$$;
