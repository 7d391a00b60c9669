-- What an offer's page tells partners beside its headline and description. `categories` and `creatives` are JSON:
-- they are read whole and never searched.
alter table offer add column terms text not null default '';
alter table offer add column categories text not null default '[]';
alter table offer add column creatives text not null default '[]';

-- An event that partners are not shown.
alter table offer_event add column visible bigint not null default 1 check (visible in (0, 1));

-- Test clicks (mark 2) of a link, for whoever sets it up: there are few, and they are in no count that leads to them.
create index click_test on click (link_id, click_id) where (marks & 2) <> 0;

-- The same of conversions; and all of a link's, newest first.
create index conversion_test on conversion (link_id, conversion_id) where test = 1;
create index conversion_by_link on conversion (link_id, conversion_id);
