-- House rules: bigint, text and {blob} only; time in *_ms, money in *_micros with a currency; ids are 16 bytes bound
-- by the caller; state columns carry a check; tenant tables start their indexes with the network. No foreign keys:
-- clicks and conversions outlive what they point to, and the write functions decide what may be removed.

-- One row: grows with every change of the catalog, so that every process sees that there was one.
create table catalog_state (
    only_row bigint not null primary key check (only_row = 1),
    version bigint not null
);
insert into catalog_state (only_row, version) values (1, 1);

create table network (
    network_id {blob} not null primary key,
    label text not null unique,
    name text not null,
    currency text not null,
    zone text not null,
    fallback_url text
);

create table advertiser (
    advertiser_id {blob} not null primary key,
    network_id {blob} not null,
    slug text not null,
    name text not null,
    proof text not null check (proof in ('token', 'signature', 'address')),
    allowed_addresses text not null,
    signing_secret text,
    previous_secret text,
    unique (network_id, slug)
);

-- Tokens carry 256 random bits; only their SHA-256 is kept.
create table advertiser_token (
    token_hash {blob} not null primary key,
    network_id {blob} not null,
    advertiser_id {blob} not null,
    created_ms bigint not null,
    revoked_ms bigint
);
create index advertiser_token_owner on advertiser_token (network_id, advertiser_id);

create table partner (
    partner_id {blob} not null primary key,
    network_id {blob} not null,
    slug text not null,
    name text not null,
    status text not null check (status in ('Active', 'Pending', 'Blocked')),
    signing_secret text not null,
    previous_secret text,
    unique (network_id, slug)
);

create table app_user (
    user_id {blob} not null primary key,
    network_id {blob} not null,
    email text not null,
    role text not null check (role in ('owner', 'admin', 'manager', 'viewer', 'partner', 'advertiser')),
    partner_id {blob},
    advertiser_id {blob},
    password_hash text,
    invite_hash {blob},
    invite_expires_ms bigint,
    unique (network_id, email)
);

create table offer (
    offer_id {blob} not null primary key,
    network_id {blob} not null,
    advertiser_id {blob} not null,
    slug text not null,
    name text not null,
    headline text not null,
    description text not null,
    status text not null check (status in ('Draft', 'Pending', 'Active', 'Paused', 'Expired')),
    kind text not null check (kind in ('SingleEvent', 'MultiEvent')),
    conversion_kind text not null check (conversion_kind in ('FlatRate', 'RevShare')),
    currency text not null,
    destination text not null,
    fallback_url text,
    launches_ms bigint,
    expires_ms bigint,
    attribution_window_ms bigint not null check (attribution_window_ms > 0),
    unique (network_id, slug)
);

-- The terms of every result: one row with an empty code for a single-event offer, one row an event otherwise.
-- Amounts are micro-units of the offer's currency on FlatRate offers, millionths of a percent on RevShare ones.
create table offer_event (
    offer_id {blob} not null,
    event_id {blob} not null,
    network_id {blob} not null,
    code text not null,
    name text not null,
    display_order bigint not null,
    revenue bigint not null check (revenue >= 0),
    payout bigint not null check (payout >= 0),
    reward_points bigint not null check (reward_points >= 0),
    approval text not null check (approval in ('Automatic', 'Manual')),
    pending_days bigint not null check (pending_days >= 0),
    repeats bigint not null check (repeats in (0, 1)),
    primary key (offer_id, event_id),
    unique (offer_id, code)
);

create table link (
    link_id {blob} not null primary key,
    network_id {blob} not null,
    offer_id {blob} not null,
    partner_id {blob} not null,
    approval text not null check (approval in ('Approved', 'Requested', 'Refused')),
    unique (network_id, offer_id, partner_id)
);

-- offer_id null: global. event_id null: every event of the offer.
create table postback (
    postback_id {blob} not null primary key,
    network_id {blob} not null,
    partner_id {blob} not null,
    slug text not null,
    offer_id {blob},
    event_id {blob},
    method text not null check (method in ('GET', 'POST_FORM', 'POST_JSON')),
    url text not null,
    on_success bigint not null check (on_success in (0, 1)),
    on_pending bigint not null check (on_pending in (0, 1)),
    on_rejected bigint not null check (on_rejected in (0, 1)),
    on_change bigint not null check (on_change in (0, 1)),
    enabled bigint not null check (enabled in (0, 1)),
    disabled_reason text,
    created_ms bigint not null,
    unique (network_id, partner_id, slug)
);

-- Every change of the catalog, with who made it and what it was.
create table audit (
    audit_id {blob} not null primary key,
    network_id {blob} not null,
    at_ms bigint not null,
    actor text not null,
    subject text not null,
    change text not null
);
create index audit_by_time on audit (network_id, at_ms);
