-- A click: key, owner, verdict, the two ids that people search by, and everything else packed in one value.
-- Its time is inside its id (UUID v7), so a range of time is a range of ids.
create table click (
    click_id {blob} not null primary key,
    link_id {blob} not null,
    verdict bigint not null,
    marks bigint not null,
    pub_click_id text,
    pub_member_id text,
    facts text not null
) {without_rowid};
create index click_by_pub_click_id on click (pub_click_id) where pub_click_id is not null;
create index click_by_pub_member_id on click (pub_member_id) where pub_member_id is not null;

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
    status text not null check (status in ('Pending', 'Success', 'Rejected')),
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
    version bigint not null
);
-- Once per member per offer and event, whatever the clicks, servers and races.
create unique index conversion_place
    on conversion (network_id, offer_id, event_id, partner_id, pub_member_id) where holds_place = 1;
-- The same postback is the same conversion, for ever.
create unique index conversion_key on conversion (network_id, offer_id, event_id, idempotency_key);
create index conversion_by_click on conversion (click_id);
create index conversion_by_member on conversion (network_id, pub_member_id);
create index conversion_by_pub_click_id on conversion (network_id, pub_click_id);
create index conversion_by_change on conversion (changed_ms);
create index conversion_by_partner on conversion (network_id, partner_id, received_ms);

-- Every status that a conversion had; version 0 is its first.
create table conversion_change (
    conversion_id {blob} not null,
    version bigint not null,
    network_id {blob} not null,
    status text not null check (status in ('Pending', 'Success', 'Rejected')),
    reason text,
    actor text not null,
    at_ms bigint not null,
    primary key (conversion_id, version)
) {without_rowid};

-- Every advertiser request as it came, secrets redacted.
create table inbound (
    inbound_id {blob} not null primary key,
    network_id {blob},
    advertiser_id {blob},
    received_ms bigint not null,
    address text not null,
    method text not null,
    target text not null,
    body text not null,
    code text not null,
    message text not null,
    click_id {blob},
    conversion_id {blob}
);
create index inbound_by_network on inbound (network_id, received_ms);
create index inbound_by_click on inbound (click_id) where click_id is not null;

-- One message to one partner postback. Its id is the webhook-id.
create table delivery (
    delivery_id {blob} not null primary key,
    network_id {blob} not null,
    partner_id {blob} not null,
    postback_id {blob} not null,
    conversion_id {blob} not null,
    version bigint not null,
    status text not null check (status in ('Pending', 'Success', 'Rejected')),
    origin text not null check (origin in ('live', 'backfill')),
    state text not null check (state in ('pending', 'delivered', 'dead')),
    attempts bigint not null,
    attempts_ever bigint not null,
    next_attempt_ms bigint not null,
    lease_until_ms bigint not null,
    created_ms bigint not null,
    finished_ms bigint,
    unique (conversion_id, postback_id, version)
);
create index delivery_due on delivery (postback_id, next_attempt_ms) where state = 'pending';
create index delivery_by_partner on delivery (network_id, partner_id, created_ms);

create table delivery_attempt (
    delivery_id {blob} not null,
    attempt bigint not null,
    network_id {blob} not null,
    started_ms bigint not null,
    elapsed_ms bigint not null,
    method text not null,
    url text not null,
    body text not null,
    result text not null,
    http_status bigint,
    answer text not null,
    primary key (delivery_id, attempt)
) {without_rowid};
