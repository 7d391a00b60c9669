-- What a conversion pays for is written anew. A list of three values in a check makes SQLite build a table of them for
-- every row; a chain of comparisons is a few steps.
alter table conversion rename to conversion_before;
create table conversion (
    conversion_id {blob} not null primary key,
    network_id {blob} not null,
    offer_id {blob} not null,
    event_id {blob} not null,
    partner_id {blob} not null,
    link_id {blob} not null,
    click_id {blob} not null,
    pub_click_id text not null,
    pub_member_id text not null,
    idempotency_key text not null,
    advertiser_key text,
    event_code text not null,
    status text not null check (status = 'Pending' or status = 'Success' or status = 'Rejected'),
    reason text check ((status = 'Rejected') = (reason is not null)),
    winner_id {blob},
    holds_place bigint not null check (holds_place in (0, 1) and (holds_place = 0 or status <> 'Rejected')),
    revenue_micros bigint not null,
    payout_micros bigint not null,
    currency text not null,
    amount_micros bigint,
    amount_currency text,
    address text not null,
    kept text not null,
    received_ms bigint not null,
    changed_ms bigint not null,
    version bigint not null,
    -- Until when a pending conversion waits by itself, and for what.
    wait_until_ms bigint,
    wait_for text check (wait_for in ('approval', 'predecessor')),
    -- When the member completed it, where that is known better than by the time of receipt.
    completed_ms bigint,
    -- The conversion of a test click: it runs the whole way and is counted nowhere.
    test bigint not null default 0 check (test in (0, 1) and (test = 0 or holds_place = 0))
);
insert into conversion (conversion_id, network_id, offer_id, event_id, partner_id, link_id, click_id, pub_click_id,
    pub_member_id, idempotency_key, advertiser_key, event_code, status, reason, winner_id, holds_place, revenue_micros,
    payout_micros, currency, amount_micros, amount_currency, address, kept, received_ms, changed_ms, version,
    wait_until_ms, wait_for, completed_ms, test)
select conversion_id, network_id, offer_id, event_id, partner_id, link_id, click_id, pub_click_id, pub_member_id,
    idempotency_key, advertiser_key, event_code, status, reason, winner_id, holds_place, revenue_micros, payout_micros,
    currency, amount_micros, amount_currency, address, kept, received_ms, changed_ms, version, wait_until_ms, wait_for,
    completed_ms, test
from conversion_before order by conversion_id;
drop table conversion_before;
-- Once per member per offer and event, whatever the clicks, servers and races.
create unique index conversion_place
    on conversion (network_id, offer_id, event_id, partner_id, pub_member_id) where holds_place = 1;
-- The same postback is the same conversion, for ever.
create unique index conversion_key on conversion (network_id, offer_id, event_id, idempotency_key);
-- The conversions of a click, and those that changed, in their order: read without sorting.
create index conversion_by_click on conversion (click_id, conversion_id);
create index conversion_by_change on conversion (changed_ms, conversion_id);
create index conversion_by_member on conversion (network_id, pub_member_id);
create index conversion_by_pub_click_id on conversion (network_id, pub_click_id);
create index conversion_by_partner on conversion (network_id, partner_id, received_ms);
create index conversion_by_offer on conversion (network_id, offer_id, event_id, received_ms);
create index conversion_by_time on conversion (network_id, received_ms);
create index conversion_test on conversion (link_id, conversion_id) where test = 1;
create index conversion_by_link on conversion (link_id, conversion_id);
create index conversion_waiting on conversion (wait_until_ms) where wait_until_ms is not null;

alter table conversion_change rename to conversion_change_before;
create table conversion_change (
    conversion_id {blob} not null,
    version bigint not null,
    network_id {blob} not null,
    status text not null check (status = 'Pending' or status = 'Success' or status = 'Rejected'),
    reason text,
    actor text not null,
    at_ms bigint not null,
    -- It is in the counts of reports, or waits for that.
    counted bigint not null default 0 check (counted in (0, 1)),
    -- What somebody said about it.
    note text not null default '',
    primary key (conversion_id, version)
) {without_rowid};
insert into conversion_change (conversion_id, version, network_id, status, reason, actor, at_ms, counted, note)
select conversion_id, version, network_id, status, reason, actor, at_ms, counted, note from conversion_change_before;
drop table conversion_change_before;
create index conversion_change_uncounted on conversion_change (conversion_id, version) where counted = 0;

alter table conversion_count rename to conversion_count_before;
create table conversion_count (
    network_id {blob} not null,
    start_ms bigint not null,
    link_id {blob} not null,
    event_id {blob} not null,
    status text not null check (status = 'Pending' or status = 'Success' or status = 'Rejected'),
    reason text not null,
    currency text not null,
    conversions bigint not null,
    revenue_micros bigint not null,
    payout_micros bigint not null,
    primary key (network_id, start_ms, link_id, event_id, status, reason, currency)
) {without_rowid};
insert into conversion_count (network_id, start_ms, link_id, event_id, status, reason, currency, conversions,
    revenue_micros, payout_micros)
select network_id, start_ms, link_id, event_id, status, reason, currency, conversions, revenue_micros, payout_micros
from conversion_count_before;
drop table conversion_count_before;

-- Nothing asks for requests by network and time; they are removed in the order of their ids.
drop index inbound_by_network;

-- The rules that were looked at are packed (`store::inbound::trail`). What was stored as JSON stays so, and begins with
-- a bracket.
alter table inbound add column packed {blob};
update inbound set packed = {bytes_of}(steps{in_utf8});
alter table inbound drop column steps;
alter table inbound rename column packed to steps;
