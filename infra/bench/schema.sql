-- The least a purchase has to write, by hand, for pgbench.
create schema bench;
create table bench.stock (variant_id int primary key, on_hand int not null check (on_hand >= 0));
create table bench.orders (id bigint generated always as identity primary key, state text not null, total bigint not null, created_at timestamptz not null default now());
create table bench.order_lines (order_id bigint not null, position int not null, variant_id int not null, quantity int not null, price bigint not null, primary key (order_id, position));
create table bench.payments (id bigint generated always as identity primary key, order_id bigint not null unique, state text not null, amount bigint not null);
create table bench.outbox (id bigint generated always as identity primary key, type text not null, data jsonb not null, due_at timestamptz not null default now());
insert into bench.stock select n, 1000000000 from generate_series(1, 100) n;
