-- +goose Up
-- rule: how the order of the deliveries of a route is made; barriers: the largest
-- numbers of those made by each rule before, which go first.
ALTER TABLE units ADD COLUMN rule TEXT NOT NULL DEFAULT '';
ALTER TABLE units ADD COLUMN barriers TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX units_name ON units (name);
