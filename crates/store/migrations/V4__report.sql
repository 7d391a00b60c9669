-- Which clicks came and are in no count yet: a line for each batch of the click log, written by the batch itself and
-- taken away by the step that counts it. `click_ids` are 16 bytes each, in order.
create table click_arrival (
    first_id {blob} not null primary key,
    last_id {blob} not null,
    clicks bigint not null check (clicks > 0),
    click_ids {blob} not null
);
-- What was recorded before there were counts.
insert into click_arrival (first_id, last_id, clicks, click_ids) select click_id, click_id, 1, click_id from click;

-- Clicks by the quarter of an hour (UTC) in which they were made; tests are in none.
create table click_count (
    network_id {blob} not null,
    start_ms bigint not null,
    link_id {blob} not null,
    verdict bigint not null,
    country text not null,
    device text not null,
    os text not null,
    hits bigint not null,
    counted bigint not null,
    unique_clicks bigint not null,
    sent_on bigint not null,
    bots bigint not null,
    prefetches bigint not null,
    primary key (network_id, start_ms, link_id, verdict, country, device, os)
) {without_rowid};
create index click_count_by_link on click_count (link_id, start_ms);

-- Conversions by the quarter in which they were received, under the status that they have now; tests are in none. No
-- reason is ''.
create table conversion_count (
    network_id {blob} not null,
    start_ms bigint not null,
    link_id {blob} not null,
    event_id {blob} not null,
    status text not null check (status in ('Pending', 'Success', 'Rejected')),
    reason text not null,
    currency text not null,
    conversions bigint not null,
    revenue_micros bigint not null,
    payout_micros bigint not null,
    primary key (network_id, start_ms, link_id, event_id, status, reason, currency)
) {without_rowid};

-- A line of history is in the counts, or waits for that.
alter table conversion_change add column counted bigint not null default 0 check (counted in (0, 1));
create index conversion_change_uncounted on conversion_change (conversion_id, version) where counted = 0;
create index conversion_by_time on conversion (network_id, received_ms);

-- One row, locked by whoever changes counts. While a quarter is counted anew, its clicks from `position` to
-- `until_id` are yet to be listed, and nothing is counted.
create table report_state (
    only_row bigint not null primary key check (only_row = 1),
    position {blob},
    until_id {blob},
    check ((position is null) = (until_id is null))
);
insert into report_state (only_row) values (1);
