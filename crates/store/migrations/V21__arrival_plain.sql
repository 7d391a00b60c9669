-- What lines of arrival hold is gone within seconds and hardly becomes smaller: PostgreSQL is not to compress it.
{only_postgres} alter table click_arrival alter column click_ids set storage external;
{only_postgres} alter table click_arrival alter column notes set storage external;
