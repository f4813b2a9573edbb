-- +goose Up
-- n orders the deliveries of one position; original: the payload is messages.body.
DROP TABLE deliveries;
CREATE TABLE deliveries (
  n          INTEGER PRIMARY KEY AUTOINCREMENT,
  id         TEXT NOT NULL,
  message    INTEGER NOT NULL,
  run        INTEGER NOT NULL,
  unit       TEXT NOT NULL,
  part       INTEGER NOT NULL,
  pos        INTEGER NOT NULL,
  key        TEXT NOT NULL,
  key2       TEXT NOT NULL DEFAULT '',
  state      TEXT NOT NULL,
  reason     TEXT NOT NULL DEFAULT '',
  class      TEXT NOT NULL DEFAULT '',
  due        INTEGER NOT NULL DEFAULT 0,
  attempts   INTEGER NOT NULL DEFAULT 0,
  started    INTEGER NOT NULL DEFAULT 0,
  answered   INTEGER NOT NULL DEFAULT 0,
  maybe_sent INTEGER NOT NULL DEFAULT 0,
  late       INTEGER NOT NULL DEFAULT 0,
  control    TEXT NOT NULL DEFAULT '',
  original   INTEGER NOT NULL DEFAULT 0,
  answer     BLOB,
  payload    BLOB
);
CREATE UNIQUE INDEX deliveries_id ON deliveries (id);
CREATE UNIQUE INDEX deliveries_once ON deliveries (message, run, unit, part);
CREATE INDEX deliveries_pos ON deliveries (unit, pos, n) WHERE state IN ('waiting', 'sending');
CREATE INDEX deliveries_key ON deliveries (unit, key, pos, n) WHERE state IN ('waiting', 'sending');
CREATE INDEX deliveries_key2 ON deliveries (unit, key2, pos, n) WHERE key2 <> '' AND state IN ('waiting', 'sending');
CREATE INDEX deliveries_parked ON deliveries (unit, n) WHERE state = 'parked';
ALTER TABLE messages ADD COLUMN via TEXT NOT NULL DEFAULT '';
CREATE INDEX aliases_survivor ON aliases (survivor);
