-- Which clicks carry which ids, as long as they are in none of the sorted lists: a line for each step of the counting.
-- An entry is that of a list with its prefix before it; they come in the order of time.
create table click_key_unsorted (
    first_id {blob} not null,
    last_id {blob} not null,
    clicks bigint not null,
    entries {blob} not null,
    primary key (first_id, last_id, clicks)
) {without_rowid};

-- Lines of arrival without an index beside them: a page less for every batch of clicks.
alter table click_arrival rename to click_arrival_before;
create table click_arrival (
    first_id {blob} not null primary key,
    last_id {blob} not null,
    clicks bigint not null check (clicks > 0),
    click_ids {blob} not null,
    notes {blob}
) {without_rowid};
insert into click_arrival (first_id, last_id, clicks, click_ids, notes)
    select first_id, last_id, clicks, click_ids, notes from click_arrival_before;
drop table click_arrival_before;
