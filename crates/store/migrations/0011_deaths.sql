-- What a group has to remember so that a record which kills its process does not kill it for ever.

-- Where a group began to read a partition, and how often in a row it began there: it died before anything moved.
create table letters.beginning (
    grp text not null,
    topic text not null,
    partition int not null,
    "offset" bigint not null,
    begun int not null default 1,
    -- While it is read with care: the farthest record that was tried.
    reached bigint,
    at timestamptz not null default now(),
    primary key (topic, partition, grp)
);

-- A record that is being tried alone. The row goes when the process has outlived it.
create table letters.attempt (
    grp text not null,
    topic text not null,
    partition int not null,
    "offset" bigint not null,
    attempts int not null default 1,
    at timestamptz not null default now(),
    primary key ("offset", topic, partition, grp)
);
