-- Views of a page that a user keeps by name: `query` is what stands behind the `?` of its address.
create table saved_view (
    user_id {blob} not null,
    network_id {blob} not null,
    page text not null,
    name text not null,
    query text not null,
    created_ms bigint not null,
    primary key (user_id, page, name)
) {without_rowid};
