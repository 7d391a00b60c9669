-- How a user reads numbers and dates.
alter table app_user add column number_format text not null default 'space_point'
    check (number_format in ('space_point', 'comma_point', 'point_comma', 'space_comma', 'apostrophe_point'));
alter table app_user add column date_format text not null default 'iso'
    check (date_format in ('iso', 'day_points', 'day_slashes', 'month_name'));

-- Who copied a link out of the portal first, for its checklist.
create table link_copy (
    link_id {blob} not null,
    user_id {blob} not null,
    copied_ms bigint not null,
    primary key (link_id, user_id)
) {without_rowid};
create index link_copy_user on link_copy (user_id);

-- Until when nothing is sent to an endpoint that failed several times in a row.
alter table postback add column paused_until_ms bigint;
