-- +goose Up
-- How many deliveries of a message are open is asked of the deliveries.
ALTER TABLE messages DROP COLUMN open;
