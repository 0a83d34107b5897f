-- The demo's data, made in the server. Every value is a hash of (seed, column, id) and nothing
-- else: no random(), no now(), so the same seed gives the same rows whatever the plan, the number
-- of workers or the day. Set before: demo.seed (42 if not set), demo.scale (1 if not set).
-- Tables are truncated in the transaction that fills them: with wal_level=minimal, Postgres then
-- writes no WAL for the rows.
\set ON_ERROR_STOP on

-- step: preparing the generator
create schema generator;

-- Seed and sizes are baked in as constants, so that the planner folds them and every connection
-- sees the same, whatever its own settings are.
do $$
declare
    seed bigint := coalesce(nullif(current_setting('demo.seed', true), ''), '42');
    scale float8 := coalesce(nullif(current_setting('demo.scale', true), ''), '1');
    size record;
begin
    if scale < 0.002 or scale > 100 then
        raise exception 'demo.scale is %, it must be between 0.002 and 100', scale;
    end if;
    execute format('create function generator.seed() returns bigint
        language sql immutable parallel safe return %s::bigint', seed);
    for size in
        -- Users come in blocks of 1,000: see generator.timeline.
        select 'users' as name, round(1000 * scale)::bigint * 1000 as rows
        union all select 'products', greatest(500, round(20000 * least(scale, 1)))
        union all select 'orders', round(620000 * scale)
        union all select 'events', round(1000000 * scale)
    loop
        execute format('create function generator.%I() returns bigint
            language sql immutable parallel safe return %s::bigint', size.name, size.rows);
    end loop;
end
$$;

-- The functions below are single expressions, or a single select, so that the planner inlines them:
-- a call that stays a call would cost microseconds, millions of times.

-- A number in [0, 1) for one column of one row.
create function generator.unit(what text, id bigint) returns float8
    language sql immutable parallel safe
    return ((hashint8extended(id, hashtextextended(what, generator.seed())) >> 11)
            & 9007199254740991)::float8 / 9007199254740992;

create function generator.pick(words text[], what text, id bigint) returns text
    language sql immutable parallel safe
    return words[1 + floor(generator.unit(what, id) * cardinality(words))::int];

create function generator.country(user_id bigint) returns text
    language sql immutable parallel safe
    return generator.pick(
        '{DE,DE,DE,DE,DE,DE,FR,FR,FR,FR,GB,GB,GB,ES,ES,ES,IT,IT,NL,NL,PL,SE,AT,BE,PT}',
        'users.country', user_id);

-- Zipf-like with exponent 0.8, by inversion; the prime scatters the best sellers over the ids.
create function generator.product(what text, id bigint) returns bigint
    language sql immutable parallel safe
    return 1 + (power(1 + generator.unit(what, id) * (power(generator.products(), 0.2) - 1), 5)::bigint
        * 7919) % generator.products();

-- The shop lives for 286 whole weeks (2,002 days), from Monday 2020-01-06 to 2025-06-30, UTC.
-- x in [0, 1) is how many of its users had signed up: the power in "week" is its growth, and the
-- sines push rows together at weekends and in daytime. They never fall, so the smaller x happened
-- first and nobody orders before signing up.
create function generator.week(x float8) returns float8
    language sql immutable parallel safe
    return 286 * power(x, 0.6);

create function generator.day(week float8) returns float8
    language sql immutable parallel safe
    return 7 * (week + 0.25 * (sin(2 * pi() * (week - 0.43)) + sin(2 * pi() * 0.43)) / (2 * pi()));

create function generator.moment(day float8) returns timestamptz
    language sql immutable parallel safe
    return to_timestamp(1578268800 + 86400 * (day + 0.45 * sin(2 * pi() * day) / (2 * pi())));

-- Things that happen one after the other from x_first on, more and more of them (growth > 1), and
-- who did them: somebody who had signed up by then. In every block of 1,000 users a few do most and
-- many do nothing: "rank" has the skew, the hash of the block says which of its users has that rank.
create function generator.timeline(what text, n bigint, x_first float8, growth float8)
    returns table (id bigint, day float8, user_id bigint)
    language sql immutable parallel safe
begin atomic
    select ranked.id, ranked.day,
        1 + block * 1000 + (rank * 389 + (hashint8extended(block, generator.seed()) & 1023)) % 1000
    from (
        select spread.id, generator.day(week) as day, rank,
            floor(generator.unit(what || ' block', spread.id) * blocks)::bigint as block
        from (
            select placed.id, generator.week(x) as week,
                greatest(1, floor(x * generator.users() / 1000)) as blocks,
                floor(1000 * (power(0.08 + 0.92 * generator.unit(what || ' rank', placed.id), 3)
                    - 0.000512) / 0.999488)::bigint as rank
            from (
                select serial as id, power(power(x_first, growth) + (1 - power(x_first, growth))
                    * (serial - 1 + generator.unit(what || ' x', serial)) / n, 1 / growth) as x
                from generate_series(1, n) as serial
                offset 0
            ) as placed
            offset 0
        ) as spread
        offset 0
    ) as ranked;
end;

-- step: filling categories and products (20,000 rows)
begin;
truncate categories, products;
insert into categories (id, parent_id, name)
select number, case when number > 8 then 1 + (number - 9) / 4 end, name
from unnest('{Home,Kitchen,Garden,Sports,Electronics,Fashion,Toys,Books,
    Lamps,Furniture,Textiles,Decoration,Cookware,Cutlery,Appliances,Storage,
    Plants,Tools,Barbecue,Outdoor seating,Cycling,Running,Camping,Fitness,
    Audio,Phones,Computers,Cameras,Shoes,Jackets,Shirts,Accessories,
    Board games,Puzzles,Models,Dolls,Novels,Travel,Science,Comics}'::text[])
    with ordinality as list (name, number);

-- Prices are log-normal (median 24, two thirds between 10 and 58), ending in 9 or 5 cents.
insert into products (id, sku, name, category_id, price, stock, attributes, created_at, updated_at)
select
    id,
    'SKU-' || lpad(id::text, 7, '0'),
    generator.pick('{Classic,Nordic,Compact,Eco,Premium,Urban,Light,Vintage,Smart,Solid,Soft,Royal}',
        'products.style', id)
        || ' ' || generator.pick('{oak,steel,linen,ceramic,wool,bamboo,leather,glass,cotton,copper}',
        'products.material', id)
        || ' ' || generator.pick('{chair,lamp,table,jacket,tent,speaker,mug,kettle,bag,shelf,blanket,
        bicycle bell,game,puzzle,novel,watch,phone case,knife,planter,mirror}', 'products.thing', id)
        || ' ' || id,
    9 + floor(32 * generator.unit('products.category', id))::int,
    greatest(0.99, round((exp(ln(24) + 0.88 * sqrt(-2 * ln(1 - generator.unit('products.price', id)))
        * cos(2 * pi() * generator.unit('products.price angle', id))))::numeric, 1)
        - case when generator.unit('products.cents', id) < 0.7 then 0.01 else 0.05 end),
    floor(400 * power(generator.unit('products.stock', id), 3))::int,
    jsonb_build_object(
        'weight_g', 50 + floor(5000 * power(generator.unit('products.weight', id), 4))::int,
        'colour', generator.pick('{black,white,red,blue,green,natural}', 'products.colour', id),
        'rating', round((5 - 3 * power(generator.unit('products.rating', id), 2))::numeric, 1)),
    generator.moment(-700 * generator.unit('products.created', id)),
    generator.moment(1900 + 100 * generator.unit('products.updated', id))
from generate_series(1, generator.products()) as id;
commit;

-- step: analysing products
vacuum (freeze, analyze) products, categories;

-- step[parallel]: filling users (1,000,000 rows)
begin;
truncate users;
insert into users (id, email, full_name, country, locale, birth_year, marketing_consent,
    password_hash, created_at, verified_at)
select
    id,
    -- The id makes it unique.
    lower(first_name || '.' || last_name) || id || generator.pick(
        '{@example.com,@example.com,@example.net,@example.org,@mail.example}', 'users.domain', id),
    first_name || ' ' || last_name,
    country,
    case country when 'GB' then 'en' when 'AT' then 'de' when 'BE' then 'nl' when 'SE' then 'sv'
        else lower(country) end || '_' || country,
    case when generator.unit('users.age known', id) < 0.8
        then 2007 - floor(60 * power(generator.unit('users.age', id), 1.6)) end::smallint,
    generator.unit('users.consent', id) < 0.35,
    sha256(int8send(hashint8extended(id, generator.seed()))),
    generator.moment(day),
    -- Most within the quarter of an hour, some a day later, four in a hundred never.
    case when generator.unit('users.verified', id) < 0.96 then generator.moment(
        day + least(1.5, 2002 - day) * power(generator.unit('users.verified after', id), 6)) end
from (
    select id, day, generator.country(id) as country,
        generator.pick('{Ada,Alice,Amira,Anders,Anna,Antoine,Ben,Bruno,Carla,Carlos,Chiara,Clara,
            Daan,David,Elena,Eliza,Emil,Emma,Eva,Felix,Finn,Giulia,Hannah,Hugo,Ida,Ines,Isla,Ivan,
            Jack,Jan,Jonas,Julia,Kasia,Lars,Lea,Leon,Liam,Lina,Louis,Lucia,Luca,Maja,Marco,Maria,
            Marie,Mateo,Max,Mia,Mila,Nina,Noah,Nora,Olivia,Oscar,Pablo,Paul,Piotr,Rosa,Sam,Sara,
            Sofia,Theo,Tom,Yara}', 'users.first name', id) as first_name,
        generator.pick('{Adams,Andersson,Bakker,Bauer,Becker,Bernard,Bianchi,Blanco,Braun,Brown,
            Clarke,Colombo,Costa,Dubois,Durand,Evans,Fernandez,Ferrari,Fischer,Garcia,Gomez,Gruber,
            Hall,Hofer,Hoffmann,Jansen,Johansson,Jones,Klein,Koch,Kowalski,Lambert,Laurent,Leroy,
            Lindberg,Lopez,Martin,Mayer,Mendes,Meyer,Moreau,Moreno,Moretti,Muller,Novak,Peeters,
            Pereira,Petit,Ricci,Richter,Robert,Romano,Rossi,Ruiz,Russo,Sanchez,Santos,Schmidt,
            Schneider,Schulz,Silva,Simon,Smit,Smith,Taylor,Thomas,Torres,Visser,Vogel,Wagner,Weber,
            Williams,Wilson,Wolf,Wright,Zielinski}', 'users.last name', id) as last_name
    from generator.timeline('users', generator.users(), 0, 1)
    offset 0
) as named;
commit;

-- step[parallel]: filling order lines (1,500,000 rows)
-- One to twelve lines in an order, 2.5 on average. The price is that of the product.
begin;
truncate order_lines;
insert into order_lines (order_id, line_number, quantity, product_id, unit_price, discount_percent)
select
    order_id,
    line_number,
    1 + floor(-0.55 * ln(1 - generator.unit('lines.quantity', line_id))),
    product.id,
    product.price,
    case when generator.unit('lines.discounted', line_id) < 0.12
        then 5 * (1 + floor(6 * power(generator.unit('lines.discount', line_id), 2))) else 0 end
from (
    select order_id, line_number, order_id * 16 + line_number as line_id,
        generator.product('lines.product', order_id * 16 + line_number) as product_id
    from generate_series(1, generator.orders()) as order_id
    cross join lateral generate_series(1, least(12,
        1 + floor(-1.96 * ln(1 - generator.unit('orders.lines', order_id)))::int)) as line_number
    offset 0
) as line
join products as product on product.id = line.product_id
order by order_id, line_number;
commit;

-- step[parallel]: filling events (1,000,000 rows, 15 partitions)
-- From Monday 2024-04-01, the first day of week 221, on.
begin;
truncate events;
insert into events (id, occurred_at, user_id, kind, session_id, payload)
select
    id,
    generator.moment(day),
    user_id,
    kind,
    -- The visits of one user on one day are one session.
    hashint8extended(user_id, floor(day)::bigint),
    jsonb_build_object(
        'device', generator.pick('{mobile,mobile,mobile,desktop,desktop,tablet}', 'events.device', user_id),
        'took_ms', floor(exp(3 + 3 * power(generator.unit('events.ms', id), 2)))::int)
    || case
        when kind in ('product_view', 'add_to_cart') then
            jsonb_build_object('product_id', generator.product('events.product', id))
        when kind = 'search' then jsonb_build_object('query', generator.pick(
            '{lamp,tent,oak table,gift,speaker,novel,mug,sale,jacket}', 'events.query', id))
        else jsonb_build_object('path', generator.pick(
            '{/,/sale,/new,/account,/help,/category/home,/category/garden,/category/audio}',
            'events.path', id))
    end
from (
    select id, day, user_id, generator.pick(
        '{page_view,page_view,page_view,page_view,page_view,product_view,product_view,product_view,
        product_view,product_view,search,search,search,add_to_cart,add_to_cart,checkout,sign_in,
        sign_in,newsletter_click}', 'events.kind', id)::event_kind as kind
    from generator.timeline('events', generator.events(), power(221.0::float8 / 286, 1 / 0.6::float8), 1.5)
    offset 0
) as visit;
commit;

-- step: filling orders (620,000 rows)
-- Status and dates follow from the age of the order and from its luck.
begin;
truncate orders;
insert into orders (id, user_id, status, payment, subtotal, shipping_cost, placed_at, shipped_at,
    delivered_at, updated_at)
select
    id,
    user_id,
    status,
    generator.pick('{card,card,card,card,wallet,wallet,wallet,bank_transfer,invoice,invoice,voucher}',
        'orders.payment', id)::payment_method,
    subtotal,
    case when subtotal >= 60 then 0 when subtotal >= 30 then 2.90 else 4.90 end,
    generator.moment(day),
    case when status in ('shipped', 'delivered', 'returned') then generator.moment(shipped) end,
    case when status in ('delivered', 'returned') then generator.moment(delivered) end,
    generator.moment(case
        when status in ('delivered', 'returned') then delivered
        when status = 'shipped' then shipped
        else day end)
from (
    select id, user_id, day, shipped,
        shipped + least(6, 2002 - shipped) * (0.2 + 0.7 * generator.unit('orders.delivered', id))
            as delivered,
        (case
            when luck < 0.045 then 'cancelled'
            when 2002 - day < 0.5 then case when luck < 0.5 then 'pending' else 'paid' end
            when 2002 - day < 3 then case when luck < 0.6 then 'paid' else 'shipped' end
            when 2002 - day < 9 then case when luck < 0.5 then 'shipped' else 'delivered' end
            when luck < 0.085 then 'returned'
            when luck > 0.998 then 'pending'
            else 'delivered'
        end)::order_status as status
    from (
        select id, user_id, day, generator.unit('orders.luck', id) as luck,
            day + least(2, 2002 - day) * (0.1 + 0.8 * generator.unit('orders.shipped', id)) as shipped
        from generator.timeline(
            'orders', generator.orders(), 1000.0::float8 / generator.users(), 2)
        offset 0
    ) as timed
    offset 0
) as placed
join (
    select order_id as id,
        sum(round(quantity * unit_price * (100 - discount_percent) / 100, 2)) as subtotal
    from order_lines
    group by order_id
) as amount using (id)
order by id;
commit;
