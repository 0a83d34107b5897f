-- Foreign keys, each checked in one join over full tables, and where the identities go on.
-- Two foreign keys that share a table exclude each other while they are added: neighbours below
-- share none where that is possible.
\set ON_ERROR_STOP on

-- step[parallel]: foreign keys of order lines to orders
alter table order_lines
    add constraint order_lines_order_id_fkey foreign key (order_id) references orders on delete cascade;

-- step[parallel]: foreign keys of events and addresses
alter table events
    add constraint events_user_id_fkey foreign key (user_id) references users on delete cascade;
alter table addresses
    add constraint addresses_user_id_fkey foreign key (user_id) references users on delete cascade;

-- step[parallel]: foreign keys of orders
alter table orders
    add constraint orders_user_id_fkey foreign key (user_id) references users on delete restrict;

-- step[parallel]: foreign keys of products and of order lines to products
alter table categories
    add constraint categories_parent_id_fkey foreign key (parent_id) references categories;
alter table products
    add constraint products_category_id_fkey foreign key (category_id) references categories;
alter table stock_audit
    add constraint stock_audit_product_id_fkey foreign key (product_id) references products;
alter table order_lines
    add constraint order_lines_product_id_fkey foreign key (product_id) references products;

-- step: setting the identities
do $$
declare
    name text;
begin
    foreach name in array '{users,categories,products,orders,events}'::text[] loop
        execute format(
            'select setval(pg_get_serial_sequence(%L, ''id''), (select max(id) from %I))', name, name);
    end loop;
end
$$;
