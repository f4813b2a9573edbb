-- +goose Up
-- A batch is a file of several deliveries of a route, made once: each of them
-- names it. lot: what belongs into one file (`batch: { by: … }`). payload is the
-- file, until it has been taken.
CREATE TABLE batches (
  n       INTEGER PRIMARY KEY AUTOINCREMENT,
  id      TEXT NOT NULL,
  unit    TEXT NOT NULL,
  lot     TEXT NOT NULL,
  number  INTEGER NOT NULL,
  control TEXT NOT NULL,
  made    INTEGER NOT NULL,
  payload BLOB
);
CREATE UNIQUE INDEX batches_number ON batches (unit, number);
ALTER TABLE deliveries ADD COLUMN lot TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN batch INTEGER NOT NULL DEFAULT 0;
CREATE INDEX deliveries_batch ON deliveries (batch) WHERE batch <> 0;
CREATE INDEX deliveries_lot ON deliveries (unit, lot, pos, n) WHERE lot <> '' AND batch = 0 AND state IN ('waiting', 'sending');
CREATE INDEX deliveries_filed ON deliveries (unit, batch, pos, n) WHERE batch <> 0 AND state IN ('waiting', 'sending');
