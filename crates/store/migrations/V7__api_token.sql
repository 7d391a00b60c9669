-- What programs of the network and of its partners show to the JSON API. Only the SHA-256 of the token is kept, and its
-- first letters, by which its owner knows it.
create table api_token (
    token_hash {blob} not null primary key,
    network_id {blob} not null,
    shown text not null,
    name text not null,
    scope text not null check (scope in ('management', 'partner')),
    partner_id {blob} check ((scope = 'partner') = (partner_id is not null)),
    created_ms bigint not null,
    used_day_ms bigint,
    revoked_ms bigint,
    unique (network_id, shown)
);

-- The key with which a network signs test links.
create table test_key (
    network_id {blob} not null primary key,
    test_key {blob} not null
);

-- The conversion of a test click: it runs the whole way and is counted nowhere.
alter table conversion add column test bigint not null default 0
    check (test in (0, 1) and (test = 0 or holds_place = 0));

-- Each rule that was looked at for a request, as JSON of `domain::click::Step`.
alter table inbound add column steps text not null default '[]';
