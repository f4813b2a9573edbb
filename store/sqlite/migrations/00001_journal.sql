-- +goose Up
CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- Times are microseconds since 1970 UTC.
CREATE TABLE messages (
  seq            INTEGER PRIMARY KEY AUTOINCREMENT,
  id             TEXT NOT NULL,
  channel        TEXT NOT NULL,
  type           TEXT NOT NULL,
  peer           TEXT NOT NULL,
  state          TEXT NOT NULL,
  reason         TEXT NOT NULL DEFAULT '',
  run            INTEGER NOT NULL DEFAULT 0,
  crashes        INTEGER NOT NULL DEFAULT 0,
  sender         TEXT NOT NULL,
  control        TEXT NOT NULL,
  hash           BLOB NOT NULL,
  key            TEXT NOT NULL,
  key2           TEXT NOT NULL DEFAULT '',
  routes_version TEXT NOT NULL DEFAULT '',
  open           INTEGER NOT NULL DEFAULT 0,
  answer         TEXT NOT NULL DEFAULT '',
  size           INTEGER NOT NULL,
  received       INTEGER NOT NULL,
  recorded       INTEGER NOT NULL,
  chunks         TEXT NOT NULL DEFAULT '',
  body           BLOB
);
CREATE UNIQUE INDEX messages_id ON messages (id);
CREATE UNIQUE INDEX messages_intake ON messages (channel, sender, control, hash);
CREATE INDEX messages_stored ON messages (channel, seq) WHERE state = 'stored';
CREATE INDEX messages_open ON messages (state, seq) WHERE state IN ('parked', 'refused');

CREATE TABLE chunks (body TEXT NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (body, n));

CREATE TABLE deliveries (
  id         TEXT PRIMARY KEY,
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
  maybe_sent INTEGER NOT NULL DEFAULT 0,
  late       INTEGER NOT NULL DEFAULT 0,
  control    TEXT NOT NULL DEFAULT '',
  payload    BLOB,
  answer     BLOB
);
CREATE UNIQUE INDEX deliveries_once ON deliveries (message, run, unit, part);
CREATE INDEX deliveries_pos ON deliveries (unit, pos) WHERE state IN ('waiting', 'sending');
CREATE INDEX deliveries_key ON deliveries (unit, key, pos) WHERE state IN ('waiting', 'sending');

CREATE TABLE events (message INTEGER NOT NULL, n INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, at INTEGER NOT NULL, steps TEXT NOT NULL);
CREATE INDEX events_message ON events (message, n);
CREATE TABLE aliases (key TEXT PRIMARY KEY, survivor TEXT NOT NULL, message INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE worklist (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, message INTEGER NOT NULL, kind TEXT NOT NULL,
  place TEXT NOT NULL, name TEXT NOT NULL DEFAULT '', code TEXT NOT NULL DEFAULT '', text TEXT NOT NULL DEFAULT '', closed INTEGER
);
CREATE TABLE engines (owner TEXT PRIMARY KEY, until INTEGER NOT NULL, dead INTEGER NOT NULL DEFAULT 0, routes_version TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE units (unit TEXT PRIMARY KEY, name TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '', epoch INTEGER NOT NULL DEFAULT 0, held TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE ledger (channel TEXT NOT NULL, state TEXT NOT NULL, shard INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (channel, state, shard)) WITHOUT ROWID;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, tenant INTEGER NOT NULL DEFAULT 0, actor TEXT NOT NULL, action TEXT NOT NULL,
  rtype INTEGER, rid INTEGER, comp INTEGER, outcome INTEGER NOT NULL DEFAULT 0, detail BLOB
);
-- +goose StatementBegin
CREATE TRIGGER audit_u BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_d BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'append-only'); END;
-- +goose StatementEnd
