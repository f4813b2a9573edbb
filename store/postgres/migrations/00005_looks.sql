-- +goose Up
-- Whether a younger delivery of a key has arrived is asked when an operator sends
-- an older one; what is parked is asked channel by channel.
CREATE INDEX deliveries_arrived ON deliveries (unit, key, message) WHERE state = 'delivered';
CREATE INDEX deliveries_arrived2 ON deliveries (unit, key2, message) WHERE key2 <> '' AND state = 'delivered';
CREATE INDEX messages_parked ON messages (channel, seq) WHERE state = 'parked';
