-- +goose Up
-- A part of a message is found by the name that it gives to the next one.
CREATE INDEX messages_key2 ON messages (channel, key2, seq) WHERE key2 <> '';
