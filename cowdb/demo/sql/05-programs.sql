-- What reads and guards the data: views, functions, triggers; then the generator goes.
\set ON_ERROR_STOP on

-- step: creating views
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

create view open_orders as
select id, user_id, status, total, placed_at
from orders
where status in ('pending', 'paid');

-- step: creating the materialised view of daily sales
create materialized view daily_sales as
select
    (placed_at at time zone 'UTC')::date as day,
    payment,
    count(*) as orders,
    count(distinct user_id) as buyers,
    sum(total) as revenue
from orders
where status <> 'cancelled'
group by 1, 2
order by 1, 2;
-- Needed by refresh ... concurrently.
create unique index daily_sales_key on daily_sales (day, payment);
comment on materialized view daily_sales is 'Refreshed every night; days are those of UTC.';

-- step: creating functions and triggers
create function set_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end
$$;
comment on function set_updated_at() is 'Row trigger: updated_at is the time of the transaction.';

create function audit_stock() returns trigger language plpgsql as $$
begin
    insert into stock_audit (product_id, old_stock, new_stock)
    values (new.id, case tg_op when 'UPDATE' then old.stock end, new.stock);
    return null;
end
$$;
comment on function audit_stock() is 'Row trigger: writes each change of stock to stock_audit.';

create function order_subtotal(bigint) returns numeric
    language sql stable parallel safe
    return (
        select sum(round(quantity * unit_price * (100 - discount_percent) / 100, 2))
        from order_lines
        where order_id = $1);
comment on function order_subtotal(bigint) is 'What orders.subtotal has to be, from the lines.';

-- Only when the row really differs: an update that changes nothing keeps its date.
create trigger products_updated_at before update on products
    for each row when (old is distinct from new) execute function set_updated_at();
-- (Named columns for orders: a generated column has no new value yet.)
create trigger orders_updated_at before update on orders
    for each row when (
        (old.status, old.payment, old.subtotal, old.shipping_cost, old.shipped_at, old.delivered_at)
        is distinct from
        (new.status, new.payment, new.subtotal, new.shipping_cost, new.shipped_at, new.delivered_at))
    execute function set_updated_at();
create trigger products_stock_inserted after insert on products
    for each row execute function audit_stock();
create trigger products_stock_updated after update of stock on products
    for each row when (old.stock is distinct from new.stock) execute function audit_stock();

-- step: writing comments
comment on table users is 'Customers; the e-mail address is unique whatever its case.';
comment on table addresses is 'At most one shipping and one billing address for a user.';
comment on table orders is 'Totals are those of the moment of the order.';
comment on column orders.total is 'Generated: subtotal and shipping.';
comment on column orders.subtotal is 'Sum of the lines after their discounts.';
comment on table order_lines is 'Prices are copied from products when the order is placed.';
comment on table events is 'What visitors did, a partition for each month.';
comment on column events.session_id is 'The visits of one user on one day.';
comment on table stock_audit is 'Written by triggers on products only.';
comment on constraint orders_times_check on orders is 'Placed, then shipped, then delivered.';
comment on type order_status is 'In the order in which an order goes through them.';

-- step: removing the generator
set client_min_messages = warning;
drop schema generator cascade;
reset client_min_messages;

-- step: analysing what was added last
vacuum (freeze, analyze) daily_sales, addresses, stock_audit;
