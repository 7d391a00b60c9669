-- The rules of an offer and of its results beyond their terms, as JSON of `domain::offer::Rules` and of caps and order:
-- they are read whole with the catalog and never searched.
alter table offer add column rules text not null default '{}';
alter table offer_event add column rules text not null default '{}';

-- Every change of terms or status since an offer was made, past and planned. `value` holds micro-units, millionths of
-- a percent or points; `status` a status.
create table offer_change (
    change_id {blob} not null primary key,
    network_id {blob} not null,
    offer_id {blob} not null,
    event_id {blob} not null,
    field text not null check (field in ('revenue', 'payout', 'reward', 'status')),
    value bigint,
    status text check (status in ('Draft', 'Pending', 'Active', 'Paused', 'Expired')),
    at_ms bigint not null,
    actor text not null,
    created_ms bigint not null,
    told_ms bigint,
    check ((field = 'status') = (status is not null) and (field = 'status') = (value is null))
);
create index offer_change_by_offer on offer_change (offer_id, at_ms);
create index offer_change_untold on offer_change (at_ms) where told_ms is null;

-- What a result (event), or a whole offer (event of zeros), has taken in a period. Kept only where a limit stands,
-- and moved in the conversion's own transaction.
create table tally (
    offer_id {blob} not null,
    event_id {blob} not null,
    period text not null check (period in ('day', 'week', 'month', 'total')),
    start_ms bigint not null,
    network_id {blob} not null,
    conversions bigint not null check (conversions >= 0),
    revenue_micros bigint not null,
    changed_ms bigint not null,
    primary key (offer_id, event_id, period, start_ms)
) {without_rowid};
create index tally_by_change on tally (changed_ms);

-- Until when a pending conversion waits by itself, and for what.
alter table conversion add column wait_until_ms bigint;
alter table conversion add column wait_for text check (wait_for in ('approval', 'predecessor'));
create index conversion_waiting on conversion (wait_until_ms) where wait_until_ms is not null;
create index conversion_by_offer on conversion (network_id, offer_id, event_id, received_ms);
