-- When the member completed it, where that is known better than by the time of receipt.
alter table conversion add column completed_ms bigint;

-- What somebody said about a change of status.
alter table conversion_change add column note text not null default '';

-- One file of staff's work on conversions, and how far it has come. `last_lines` holds the outcome of the newest step,
-- for a result file that did not get it any more.
create table upload (
    upload_id {blob} not null primary key,
    network_id {blob} not null,
    kind text not null check (kind in ('change', 'upload')),
    file_hash {blob} not null,
    file_name text not null,
    actor text not null,
    rows_done bigint not null,
    counts text not null,
    last_lines text not null,
    begun_ms bigint not null,
    changed_ms bigint not null,
    finished_ms bigint,
    unique (network_id, kind, file_hash)
);
