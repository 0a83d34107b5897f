-- Freeze, then keys and indexes. Frozen pages are never written again for being read, so that the
-- blocks of a branch change only where its rows do.
\set ON_ERROR_STOP on

-- step[parallel]: freezing and analysing users
vacuum (freeze, analyze) users;

-- step[parallel]: freezing and analysing orders, order lines
vacuum (freeze, analyze) orders, order_lines;

-- step[parallel]: freezing and analysing events
vacuum (freeze, analyze) events;

-- step: filling addresses (450,000 rows)
-- Whoever has ordered has an address, and some of the others.
begin;
truncate addresses;
insert into addresses (user_id, kind, street, house_number, postal_code, city, country)
select
    id,
    kind,
    generator.pick('{Mill Lane,High Street,Station Road,Church Street,Park Avenue,Garden Way,
        Harbour Street,Market Square,School Lane,River Walk,Forest Road,Castle Hill,New Street,
        Bridge Street,Linden Avenue,Hill View}', 'addresses.street', key),
    (1 + floor(140 * power(generator.unit('addresses.number', key), 2)))::text
        || case when generator.unit('addresses.letter', key) < 0.1 then 'b' else '' end,
    lpad((1000 + floor(89000 * generator.unit('addresses.postal code', key)))::text, 5, '0'),
    generator.pick('{Newport,Ashford,Lakeside,Northam,Westbridge,Oldtown,Kingsfield,Rivermouth,
        Elmstead,Stonehaven,Fairview,Brookdale}', 'addresses.city', key),
    country
from users
-- A join: "exists" below an "or" would be one scan of orders for each user.
left join (select distinct user_id as id, true as has_ordered from orders) as buyers using (id)
cross join lateral (
    values ('shipping'::address_kind, 2 * id), ('billing', 2 * id + 1)
) as kinds (kind, key)
where case kind
    when 'shipping' then has_ordered or generator.unit('addresses.without order', id) < 0.08
    else generator.unit('addresses.billing', id) < 0.05
    end
order by id, kind;
commit;

-- step[parallel]: keys of users
create unique index users_pkey on users (id);
alter table users add primary key using index users_pkey;
create unique index users_email_key on users (lower(email));

-- step[parallel]: keys of orders
create unique index orders_pkey on orders (id);
alter table orders add primary key using index orders_pkey;
create index orders_user_id_idx on orders (user_id, placed_at);
create index orders_placed_at_idx on orders (placed_at);
-- The few orders that somebody still has to work on.
create index orders_open_idx on orders (status, placed_at) where status in ('pending', 'paid');

-- step[parallel]: keys of order lines
create unique index order_lines_pkey on order_lines (order_id, line_number);
alter table order_lines add primary key using index order_lines_pkey;
create index order_lines_product_id_idx on order_lines (product_id);

-- step[parallel]: keys of addresses, categories, products
alter table addresses add primary key (user_id, kind);
alter table categories add primary key (id);
alter table categories add constraint categories_name_key unique (name);
alter table products add primary key (id);
alter table products add constraint products_sku_key unique (sku);
create index products_category_id_idx on products (category_id);
create index products_attributes_idx on products using gin (attributes jsonb_path_ops);
alter table stock_audit add primary key (id);
create index stock_audit_product_id_idx on stock_audit (product_id, changed_at);

-- step[parallel]: keys of events
-- The key of a partitioned table holds its partition column.
alter table events add primary key (occurred_at, id);
create index events_user_id_idx on events (user_id);
-- Ids and times rise together: a few kilobytes do the work of a tree.
create index events_occurred_at_brin on events using brin (occurred_at) with (pages_per_range = 32);

-- step: freezing and analysing addresses
vacuum (freeze, analyze) addresses;
