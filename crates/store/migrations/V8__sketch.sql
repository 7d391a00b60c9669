-- The recent clicks of a link as hashes, 20 bytes each, oldest first: what a server needs to go on after a restart.
create table sketch (
    link_id {blob} not null primary key,
    seen {blob} not null,
    saved_ms bigint not null
);
