-- +goose Up
CREATE TABLE setting (name text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);

-- Times are microseconds since 1970 UTC.
CREATE TABLE messages (
  seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id             text COLLATE "C" NOT NULL,
  channel        text COLLATE "C" NOT NULL,
  type           text COLLATE "C" NOT NULL,
  peer           text COLLATE "C" NOT NULL,
  state          text COLLATE "C" NOT NULL,
  reason         text COLLATE "C" NOT NULL DEFAULT '',
  run            bigint NOT NULL DEFAULT 0,
  crashes        bigint NOT NULL DEFAULT 0,
  sender         text COLLATE "C" NOT NULL,
  control        text COLLATE "C" NOT NULL,
  hash           bytea NOT NULL,
  key            text COLLATE "C" NOT NULL,
  key2           text COLLATE "C" NOT NULL DEFAULT '',
  routes_version text COLLATE "C" NOT NULL DEFAULT '',
  open           bigint NOT NULL DEFAULT 0,
  answer         text COLLATE "C" NOT NULL DEFAULT '',
  size           bigint NOT NULL,
  received       bigint NOT NULL,
  recorded       bigint NOT NULL,
  chunks         text COLLATE "C" NOT NULL DEFAULT '',
  body           bytea
);
CREATE UNIQUE INDEX messages_id ON messages (id);
CREATE UNIQUE INDEX messages_intake ON messages (channel, sender, control, hash);
CREATE INDEX messages_stored ON messages (channel, seq) WHERE state = 'stored';
CREATE INDEX messages_open ON messages (state, seq) WHERE state IN ('parked', 'refused');

CREATE TABLE chunks (body text COLLATE "C" NOT NULL, n bigint NOT NULL, at bigint NOT NULL, data bytea NOT NULL, PRIMARY KEY (body, n));

CREATE TABLE deliveries (
  id         text COLLATE "C" PRIMARY KEY,
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
  maybe_sent bigint NOT NULL DEFAULT 0,
  late       bigint NOT NULL DEFAULT 0,
  control    text COLLATE "C" NOT NULL DEFAULT '',
  payload    bytea,
  answer     bytea
);
CREATE UNIQUE INDEX deliveries_once ON deliveries (message, run, unit, part);
CREATE INDEX deliveries_pos ON deliveries (unit, pos) WHERE state IN ('waiting', 'sending');
CREATE INDEX deliveries_key ON deliveries (unit, key, pos) WHERE state IN ('waiting', 'sending');

CREATE TABLE events (message bigint NOT NULL, n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run bigint NOT NULL, at bigint NOT NULL, steps text COLLATE "C" NOT NULL);
CREATE INDEX events_message ON events (message, n);
CREATE TABLE aliases (key text COLLATE "C" PRIMARY KEY, survivor text COLLATE "C" NOT NULL, message bigint NOT NULL);
CREATE TABLE worklist (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at bigint NOT NULL, message bigint NOT NULL, kind text COLLATE "C" NOT NULL,
  place text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL DEFAULT '', code text COLLATE "C" NOT NULL DEFAULT '', text text COLLATE "C" NOT NULL DEFAULT '', closed bigint
);
CREATE TABLE engines (owner text COLLATE "C" PRIMARY KEY, until bigint NOT NULL, dead bigint NOT NULL DEFAULT 0, routes_version text COLLATE "C" NOT NULL DEFAULT '');
CREATE TABLE units (unit text COLLATE "C" PRIMARY KEY, name text COLLATE "C" NOT NULL, owner text COLLATE "C" NOT NULL DEFAULT '', epoch bigint NOT NULL DEFAULT 0, held text COLLATE "C" NOT NULL DEFAULT '');
CREATE TABLE ledger (channel text COLLATE "C" NOT NULL, state text COLLATE "C" NOT NULL, shard bigint NOT NULL, n bigint NOT NULL, PRIMARY KEY (channel, state, shard));

CREATE TABLE audit (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at bigint NOT NULL, tenant bigint NOT NULL DEFAULT 0, actor text COLLATE "C" NOT NULL, action text COLLATE "C" NOT NULL,
  rtype bigint, rid bigint, comp bigint, outcome bigint NOT NULL DEFAULT 0, detail bytea
);
-- +goose StatementBegin
CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'append-only'; END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_ro BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION forbid();
ALTER TABLE messages ALTER COLUMN body SET STORAGE EXTERNAL;
