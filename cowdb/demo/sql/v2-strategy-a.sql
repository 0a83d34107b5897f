-- premium_level, strategy A: a column with a constant default.
-- Since PostgreSQL 11 such a default is kept in the catalog and no row is written: the table is
-- locked for an instant, however many rows it has. Nobody is premium yet.
\set ON_ERROR_STOP on

-- step: adding the column with its default (catalog only)
-- Everybody who comes after a waiting "alter table" waits behind it: rather give up and try again
-- than stop the shop while some long report ends.
set lock_timeout = '2s';
alter table users add column premium_level text collate "C" not null default 'standard';
comment on column users.premium_level is 'standard, silver or gold; decides shipping and support.';

-- step: adding the check without looking at the rows
-- "not valid" holds the exclusive lock only as long as the catalog takes ...
alter table users add constraint users_premium_level_check
    check (premium_level in ('standard', 'silver', 'gold')) not valid;

-- step: checking the rows that are there
-- ... and this scan lets reads and writes through.
alter table users validate constraint users_premium_level_check;
reset lock_timeout;
