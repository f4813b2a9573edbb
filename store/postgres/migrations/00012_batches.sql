-- +goose Up
-- A batch is a file of several deliveries of a route, made once: each of them
-- names it. lot: what belongs into one file (`batch: { by: … }`). payload is the
-- file, until it has been taken.
CREATE TABLE batches (
  n       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id      text COLLATE "C" NOT NULL,
  unit    text COLLATE "C" NOT NULL,
  lot     text COLLATE "C" NOT NULL,
  number  bigint NOT NULL,
  control text COLLATE "C" NOT NULL,
  made    bigint NOT NULL,
  payload bytea
);
CREATE UNIQUE INDEX batches_number ON batches (unit, number);
ALTER TABLE deliveries ADD COLUMN lot text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN batch bigint NOT NULL DEFAULT 0;
CREATE INDEX deliveries_batch ON deliveries (batch) WHERE batch <> 0;
CREATE INDEX deliveries_lot ON deliveries (unit, lot, pos, n) WHERE lot <> '' AND batch = 0 AND state IN ('waiting', 'sending');
CREATE INDEX deliveries_filed ON deliveries (unit, batch, pos, n) WHERE batch <> 0 AND state IN ('waiting', 'sending');
