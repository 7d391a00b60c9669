-- Texts that many clicks share: user agents, and what the destinations of a link's clicks have in common. The key is the
-- beginning of the text's SHA-256, so that every node finds the same one; a text that has met another one under its key is
-- kept by each click itself. No text is ever taken away: clicks name it.
create table click_text (
    text_hash bigint not null primary key,
    text text not null
);

-- What a click carries is packed (`domain::click::packed`). What was stored as JSON stays so, and begins with a brace.
alter table click add column packed {blob};
update click set packed = {bytes_of}(facts{in_utf8});
alter table click drop column facts;
alter table click rename column packed to facts;
-- The user agent, and what the destination follows from, when those stand in `click_text`.
alter table click add column agent_hash bigint;
alter table click add column destination_hash bigint;
