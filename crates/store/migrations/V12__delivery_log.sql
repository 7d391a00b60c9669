-- A postback's deliveries, newest first, and those of them that were given up, which are few among many.
create index delivery_by_postback on delivery (postback_id, created_ms, delivery_id);
create index delivery_dead on delivery (postback_id, created_ms, delivery_id) where state = 'dead';
