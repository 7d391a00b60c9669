-- What somebody of a partner may do there; the zone that users chose for themselves; the second factor of their log-in.
alter table app_user add column team_role text check (team_role in ('owner', 'member', 'read_only'));
alter table app_user add column zone text;
alter table app_user add column totp_secret {blob};
-- The last time step whose code was taken, so that no code is taken twice.
alter table app_user add column totp_step bigint not null default 0;
-- When somebody last said that they forgot their password, until a link was made for them.
alter table app_user add column forgot_ms bigint;

update app_user set team_role = 'owner' where role = 'partner';

create index app_user_invite on app_user (invite_hash);
create index app_user_partner on app_user (network_id, partner_id);

-- Each works once, in place of a code of the second factor: only its SHA-256 is kept, until it is used.
create table recovery_code (
    user_id {blob} not null,
    code_hash {blob} not null,
    primary key (user_id, code_hash)
);

-- Somebody logged in. Only the SHA-256 of the token in their browser's cookie is kept. `code`: the password was right and
-- the second factor is still to come.
create table session (
    session_id {blob} not null primary key,
    token_hash {blob} not null unique,
    user_id {blob} not null,
    stage text not null check (stage in ('code', 'open')),
    created_ms bigint not null,
    seen_ms bigint not null,
    expires_ms bigint not null,
    address text not null,
    agent text not null
);
create index session_of_user on session (user_id, seen_ms);
create index session_expires on session (expires_ms);
