-- Which clicks carry which ids of their partner, for some thousand clicks at a time: 32 lists of short hashes, sorted,
-- each with the milliseconds after `first_id`. Written behind the clicks by the step that counts them.
create table click_key (
    prefix bigint not null,
    first_id {blob} not null,
    last_id {blob} not null,
    clicks bigint not null,
    entries {blob} not null,
    primary key (prefix, first_id, last_id, clicks)
) {without_rowid};

-- Clicks that came before there were lists are looked through one by one, up to this id.
create table click_key_begin (
    until_id {blob} not null primary key
);
insert into click_key_begin (until_id) select click_id from click order by click_id desc limit 1;

drop index click_by_pub_click_id;
drop index click_by_pub_member_id;
