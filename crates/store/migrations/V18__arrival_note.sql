-- What counting needs to know of the clicks of a line, so that it does not read each of them again; null where they are
-- to be read. Its form is that of `store::report::arrival`.
alter table click_arrival add column notes {blob};
