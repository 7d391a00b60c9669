-- What clicks add to the counts and is not added yet: taken from the lines of arrival by the thousand, put in the order
-- of the counts' key, and added part by part. `first_id` is the earliest of the clicks that were gathered together.
create table click_gathered (
    network_id {blob} not null,
    start_ms bigint not null,
    first_id {blob} not null,
    part bigint not null,
    places {blob} not null,
    primary key (network_id, start_ms, first_id, part)
) {without_rowid};

-- Moved by whoever takes clicks that wait, changes them or lists some anew: who read them before gives way.
alter table report_state add column steps bigint not null default 0;
