-- Which quarters of an hour of a network have counts. Those with `summed` are in the sums below, and what comes late is
-- added to both at once; the others wait, and are read from the counts themselves. `changes` grows with each change of
-- the quarter's counts, so that sums made of them are only written when they are still so.
create table count_quarter (
    network_id {blob} not null,
    start_ms bigint not null,
    changes bigint not null,
    summed bigint not null check (summed in (0, 1)),
    primary key (network_id, start_ms)
) {without_rowid};
create index count_quarter_waiting on count_quarter (network_id, start_ms) where summed = 0;
-- What was counted before there were sums waits, and is summed up a little at a time.
insert into count_quarter (network_id, start_ms, changes, summed)
    select distinct network_id, start_ms, 0, 0 from click_count
    where network_id in (select network_id from network);
insert into count_quarter (network_id, start_ms, changes, summed)
    select distinct network_id, start_ms, 0, 0 from conversion_count
    where network_id in (select network_id from network) on conflict do nothing;

-- Clicks of a network, partner, offer or link (the subject: no two have the same id) by quarters of an hour, hours and
-- days (UTC, `span_ms` long). With `by_visitor` also by country, device and operating system, which are '' without.
create table click_sum (
    subject_id {blob} not null,
    span_ms bigint not null check (span_ms in (900000, 3600000, 86400000)),
    by_visitor bigint not null check (by_visitor in (0, 1)),
    start_ms bigint not null,
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
    primary key (subject_id, span_ms, by_visitor, start_ms, verdict, country, device, os)
) {without_rowid};

-- Conversions of the same subjects under the status that they have now.
create table conversion_sum (
    subject_id {blob} not null,
    span_ms bigint not null check (span_ms in (900000, 3600000, 86400000)),
    start_ms bigint not null,
    status text not null check (status in ('Pending', 'Success', 'Rejected')),
    currency text not null,
    conversions bigint not null,
    revenue_micros bigint not null,
    payout_micros bigint not null,
    primary key (subject_id, span_ms, start_ms, status, currency)
) {without_rowid};
