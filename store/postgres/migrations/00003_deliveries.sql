-- +goose Up
-- n orders the deliveries of one position; original: the payload is messages.body.
DROP TABLE deliveries;
CREATE TABLE deliveries (
  n          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id         text COLLATE "C" NOT NULL,
  message    bigint NOT NULL,
  run        bigint NOT NULL,
  unit       text COLLATE "C" NOT NULL,
  part       bigint NOT NULL,
  pos        bigint NOT NULL,
  key        text COLLATE "C" NOT NULL,
  key2       text COLLATE "C" NOT NULL DEFAULT '',
  state      text COLLATE "C" NOT NULL,
  reason     text COLLATE "C" NOT NULL DEFAULT '',
  class      text COLLATE "C" NOT NULL DEFAULT '',
  due        bigint NOT NULL DEFAULT 0,
  attempts   bigint NOT NULL DEFAULT 0,
  started    bigint NOT NULL DEFAULT 0,
  answered   bigint NOT NULL DEFAULT 0,
  maybe_sent bigint NOT NULL DEFAULT 0,
  late       bigint NOT NULL DEFAULT 0,
  control    text COLLATE "C" NOT NULL DEFAULT '',
  original   bigint NOT NULL DEFAULT 0,
  answer     bytea,
  payload    bytea
);
CREATE UNIQUE INDEX deliveries_id ON deliveries (id);
CREATE UNIQUE INDEX deliveries_once ON deliveries (message, run, unit, part);
CREATE INDEX deliveries_pos ON deliveries (unit, pos, n) WHERE state IN ('waiting', 'sending');
CREATE INDEX deliveries_key ON deliveries (unit, key, pos, n) WHERE state IN ('waiting', 'sending');
CREATE INDEX deliveries_key2 ON deliveries (unit, key2, pos, n) WHERE key2 <> '' AND state IN ('waiting', 'sending');
CREATE INDEX deliveries_parked ON deliveries (unit, n) WHERE state = 'parked';
ALTER TABLE messages ADD COLUMN via text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX aliases_survivor ON aliases (survivor);
