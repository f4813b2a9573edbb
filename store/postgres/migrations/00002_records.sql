-- +goose Up
-- Times are microseconds since 1970 UTC; rtype and pid are numbers of fhir/definitions.

CREATE TABLE resource (
  rid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant bigint NOT NULL DEFAULT 0, rtype bigint NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL,
  last_updated bigint NOT NULL, deleted bigint NOT NULL DEFAULT 0, comp bigint NOT NULL DEFAULT 0, codec bigint NOT NULL DEFAULT 0, key_id bigint,
  body_hash bytea NOT NULL, source_at bigint NOT NULL DEFAULT 0, content bytea, UNIQUE (tenant, rtype, id)
) WITH (fillfactor = 90);
ALTER TABLE resource ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE INDEX resource_lu ON resource (tenant, rtype, last_updated, rid) WHERE deleted = 0;
CREATE INDEX resource_comp ON resource (comp, rtype, rid) WHERE comp <> 0 AND deleted = 0;

CREATE TABLE resource_history (
  rid bigint NOT NULL, version bigint NOT NULL, last_updated bigint NOT NULL, deleted bigint NOT NULL, codec bigint NOT NULL, key_id bigint,
  content bytea, PRIMARY KEY (rid, version, last_updated)
) PARTITION BY RANGE (last_updated);
CREATE TABLE resource_history_default PARTITION OF resource_history DEFAULT;

CREATE TABLE change_log (
  seq bigint GENERATED ALWAYS AS IDENTITY, pos bigint, at bigint NOT NULL, tenant bigint NOT NULL DEFAULT 0, rtype bigint NOT NULL, rid bigint NOT NULL,
  version bigint NOT NULL, op text COLLATE "C" NOT NULL, message bigint, PRIMARY KEY (at, seq)
) PARTITION BY RANGE (at);
CREATE TABLE change_log_default PARTITION OF change_log DEFAULT;
CREATE INDEX change_log_pos ON change_log (pos) WHERE pos IS NOT NULL;
CREATE INDEX change_log_new ON change_log (seq) WHERE pos IS NULL;
CREATE TABLE change_cursor (consumer text COLLATE "C" PRIMARY KEY, pos bigint NOT NULL);

CREATE TABLE ix_token (pid bigint NOT NULL, val bytea NOT NULL, sys bigint NOT NULL, rid bigint NOT NULL, comp bigint NOT NULL);
CREATE UNIQUE INDEX ix_token_v ON ix_token (pid, val, sys, rid);
CREATE INDEX ix_token_c ON ix_token (comp, pid, val, rid) WHERE comp <> 0;
CREATE INDEX ix_token_r ON ix_token (rid, pid);
CREATE TABLE ix_date (pid bigint NOT NULL, lo bigint NOT NULL, rid bigint NOT NULL, hi bigint NOT NULL, comp bigint NOT NULL);
CREATE INDEX ix_date_lo ON ix_date (pid, lo, rid) INCLUDE (hi);
CREATE INDEX ix_date_c ON ix_date (comp, pid, lo, rid) INCLUDE (hi) WHERE comp <> 0;
CREATE INDEX ix_date_r ON ix_date (rid, pid) INCLUDE (lo, hi);
CREATE TABLE ix_string (pid bigint NOT NULL, norm text COLLATE "C" NOT NULL, rid bigint NOT NULL, val bytea);
CREATE INDEX ix_string_v ON ix_string (pid, norm, rid);
CREATE INDEX ix_string_r ON ix_string (rid, pid);
CREATE TABLE ix_ref (tkey text COLLATE "C" NOT NULL, ttype bigint NOT NULL, pid bigint NOT NULL, rid bigint NOT NULL);
CREATE UNIQUE INDEX ix_ref_t ON ix_ref (tkey, ttype, pid, rid);
CREATE INDEX ix_ref_r ON ix_ref (rid, pid);
CREATE TABLE ix_number (pid bigint NOT NULL, val numeric NOT NULL, unit text COLLATE "C" NOT NULL, sys bigint NOT NULL, rid bigint NOT NULL, comp bigint NOT NULL);
CREATE INDEX ix_number_v ON ix_number (pid, val, unit, sys, rid);
CREATE INDEX ix_number_r ON ix_number (rid, pid);

CREATE TABLE identity_key (tenant bigint NOT NULL DEFAULT 0, rtype bigint NOT NULL, k bytea NOT NULL, rid bigint NOT NULL, merged_into bigint, PRIMARY KEY (tenant, k, rtype));
CREATE TABLE ingest_key (client text COLLATE "C" NOT NULL, k bytea NOT NULL, at bigint NOT NULL, body_hash bytea NOT NULL, outcome text NOT NULL, PRIMARY KEY (client, k));
CREATE TABLE data_key (key_id bigint PRIMARY KEY, wrapped bytea NOT NULL, kek text NOT NULL, created bigint NOT NULL, retired bigint);
CREATE TABLE audit_seal (n bigint PRIMARY KEY, first_seq bigint NOT NULL, last_seq bigint NOT NULL, rows bigint NOT NULL, root bytea NOT NULL, prev bytea NOT NULL, hash bytea NOT NULL, at bigint NOT NULL);
