-- premium_level with all that goes with it: column, check, index, view. v2-down.sql undoes it.
\set ON_ERROR_STOP on

-- step: adding premium_level and showing it in customer_summary
-- One transaction: no session ever sees half of it. Only the check's scan takes time, so it comes
-- later.
begin;
set local lock_timeout = '2s';
alter table users
    add column premium_level text collate "C" not null default 'standard',
    add constraint users_premium_level_check
        check (premium_level in ('standard', 'silver', 'gold')) not valid;
comment on column users.premium_level is 'standard, silver or gold; decides shipping and support.';
-- "or replace" may append columns, and keeps comment and privileges.
create or replace view customer_summary as
select
    users.id as user_id,
    users.full_name,
    users.country,
    count(orders.id) as orders,
    coalesce(sum(orders.total), 0) as spent,
    max(orders.placed_at) as last_order_at,
    users.premium_level
from users
left join orders on orders.user_id = users.id and orders.status <> 'cancelled'
group by users.id;
commit;

-- step: checking the rows that are there
alter table users validate constraint users_premium_level_check;

-- step: indexing premium users
-- Concurrently, and by itself: it may not be in a transaction. Premium users are few, so the index
-- is small.
create index concurrently users_premium_level_idx on users (premium_level)
    where premium_level <> 'standard';
