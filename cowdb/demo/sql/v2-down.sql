-- Undoes v2-up.sql. The levels are lost: that is what going back means.
\set ON_ERROR_STOP on

-- step: dropping the index
drop index concurrently if exists users_premium_level_idx;

-- step: taking premium_level out of customer_summary and out of users
-- "or replace" cannot take a column away: drop and create, with the comment that goes with it.
begin;
set local lock_timeout = '2s';
drop view customer_summary;
create view customer_summary as
select
    users.id as user_id,
    users.full_name,
    users.country,
    count(orders.id) as orders,
    coalesce(sum(orders.total), 0) as spent,
    max(orders.placed_at) as last_order_at
from users
left join orders on orders.user_id = users.id and orders.status <> 'cancelled'
group by users.id;
comment on view customer_summary is 'One row for each user; cancelled orders do not count.';
-- Takes the check along.
alter table users drop column premium_level;
commit;
