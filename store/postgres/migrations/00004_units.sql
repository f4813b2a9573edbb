-- +goose Up
-- rule: how the order of the deliveries of a route is made; barriers: the largest
-- numbers of those made by each rule before, which go first.
ALTER TABLE units ADD COLUMN rule text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE units ADD COLUMN barriers text COLLATE "C" NOT NULL DEFAULT '';
CREATE UNIQUE INDEX units_name ON units (name);
