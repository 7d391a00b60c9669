-- One row a job: when it is due, who runs it now, and how it ended last.
create table job (
    name text not null primary key,
    due_ms bigint not null,
    holder {blob},
    lease_until_ms bigint not null,
    started_ms bigint,
    succeeded_ms bigint,
    report text,
    failures bigint not null,
    failed_ms bigint,
    error text
);

-- One row a class of data: everything before `until_ms` is gone, or will be when the position has come there.
create table retention (
    class text not null primary key check (class in (
        'clicks', 'click_addresses', 'conversion_addresses', 'inbound', 'deliveries')),
    until_ms bigint not null,
    position {blob} not null,
    at_ms bigint not null
);

-- The secret under which a network's erased members are still recognised; made when the first one is erased.
create table erase_key (
    network_id {blob} not null primary key,
    secret {blob} not null
);

-- Members who were erased, by what stands in their place.
create table erased_member (
    network_id {blob} not null,
    pseudonym text not null,
    partner_id {blob} not null,
    erased_ms bigint not null,
    primary key (network_id, pseudonym)
) {without_rowid};
