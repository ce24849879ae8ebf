\set variant random(1, 100)
begin;
update bench.stock set on_hand = on_hand - 1 where variant_id = :variant and on_hand >= 1;
insert into bench.orders (state, total) values ('PAID', 4299) returning id \gset
insert into bench.order_lines values (:id, 0, :variant, 1, 4299);
insert into bench.payments (order_id, state, amount) values (:id, 'CAPTURED', 4299);
insert into bench.outbox (type, data) values ('OrderPaid', jsonb_build_object('orderId', :id::bigint));
commit;
