-- +goose Up
-- Times are microseconds since 1970 UTC; rtype and pid are numbers of fhir/definitions.

CREATE TABLE resource (
  rid INTEGER PRIMARY KEY AUTOINCREMENT, tenant INTEGER NOT NULL DEFAULT 0, rtype INTEGER NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
  last_updated INTEGER NOT NULL, deleted INTEGER NOT NULL DEFAULT 0, comp INTEGER NOT NULL DEFAULT 0, codec INTEGER NOT NULL DEFAULT 0, key_id INTEGER,
  body_hash BLOB NOT NULL, source_at INTEGER NOT NULL DEFAULT 0, content BLOB, UNIQUE (tenant, rtype, id)
);
CREATE INDEX resource_lu ON resource (tenant, rtype, last_updated, rid) WHERE deleted = 0;
CREATE INDEX resource_comp ON resource (comp, rtype, rid) WHERE comp <> 0 AND deleted = 0;

CREATE TABLE resource_history (
  rid INTEGER NOT NULL, version INTEGER NOT NULL, last_updated INTEGER NOT NULL, deleted INTEGER NOT NULL, codec INTEGER NOT NULL, key_id INTEGER,
  content BLOB, PRIMARY KEY (rid, version)
) WITHOUT ROWID;

CREATE TABLE change_log (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, tenant INTEGER NOT NULL DEFAULT 0, rtype INTEGER NOT NULL, rid INTEGER NOT NULL, version INTEGER NOT NULL, op TEXT NOT NULL, message INTEGER);
CREATE TABLE change_cursor (consumer TEXT PRIMARY KEY, pos INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE ix_token (pid INTEGER NOT NULL, val BLOB NOT NULL, sys INTEGER NOT NULL, rid INTEGER NOT NULL, comp INTEGER NOT NULL, PRIMARY KEY (pid, val, sys, rid)) WITHOUT ROWID;
CREATE INDEX ix_token_c ON ix_token (comp, pid, val) WHERE comp <> 0;
CREATE INDEX ix_token_r ON ix_token (rid, pid);
CREATE TABLE ix_date (pid INTEGER NOT NULL, lo INTEGER NOT NULL, rid INTEGER NOT NULL, hi INTEGER NOT NULL, comp INTEGER NOT NULL, PRIMARY KEY (pid, lo, rid, hi)) WITHOUT ROWID;
CREATE INDEX ix_date_c ON ix_date (comp, pid, lo) WHERE comp <> 0;
CREATE INDEX ix_date_r ON ix_date (rid, pid, lo, hi);
CREATE TABLE ix_string (pid INTEGER NOT NULL, norm TEXT NOT NULL, rid INTEGER NOT NULL, val BLOB, PRIMARY KEY (pid, norm, rid)) WITHOUT ROWID;
CREATE INDEX ix_string_r ON ix_string (rid, pid);
CREATE TABLE ix_ref (tkey TEXT NOT NULL, ttype INTEGER NOT NULL, pid INTEGER NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (tkey, ttype, pid, rid)) WITHOUT ROWID;
CREATE INDEX ix_ref_r ON ix_ref (rid, pid);
CREATE TABLE ix_number (pid INTEGER NOT NULL, val REAL NOT NULL, unit TEXT NOT NULL, sys INTEGER NOT NULL, rid INTEGER NOT NULL, comp INTEGER NOT NULL, PRIMARY KEY (pid, val, unit, sys, rid)) WITHOUT ROWID;
CREATE INDEX ix_number_r ON ix_number (rid, pid);

CREATE TABLE identity_key (tenant INTEGER NOT NULL DEFAULT 0, rtype INTEGER NOT NULL, k BLOB NOT NULL, rid INTEGER NOT NULL, merged_into INTEGER, PRIMARY KEY (tenant, k, rtype)) WITHOUT ROWID;
CREATE TABLE ingest_key (client TEXT NOT NULL, k BLOB NOT NULL, at INTEGER NOT NULL, body_hash BLOB NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (client, k)) WITHOUT ROWID;
CREATE TABLE data_key (key_id INTEGER PRIMARY KEY, wrapped BLOB NOT NULL, kek TEXT NOT NULL, created INTEGER NOT NULL, retired INTEGER);
CREATE TABLE audit_seal (n INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, rows INTEGER NOT NULL, root BLOB NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL, at INTEGER NOT NULL);
