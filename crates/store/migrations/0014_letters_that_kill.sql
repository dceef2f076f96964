-- A letter may kill the process that drains it, as a record may. It is out of its partition, so its own row has to remember.
alter table letters.letter
    -- How often its key was taken over from a process that ended without a word, while it was the key's next.
    add column deaths int not null default 0,
    -- Tries alone that no process outlived.
    add column tries int not null default 0;
