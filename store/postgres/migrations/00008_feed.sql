-- +goose Up
-- History of a type, by position. The row of change_cursor without a name says
-- which position was given last; whoever holds it locked gives the next ones.
CREATE INDEX change_log_type ON change_log (rtype, pos) WHERE pos IS NOT NULL;
INSERT INTO change_cursor (consumer, pos) SELECT '', COALESCE(MAX(pos), 0) FROM change_log;

-- Which extractor of search index rows wrote those of a resource: a number of
-- this table, 0 for none that is known. The last one is that of the engines that
-- started last.
CREATE TABLE extractor (n bigint PRIMARY KEY, version text COLLATE "C" NOT NULL, at bigint NOT NULL);
ALTER TABLE resource ADD COLUMN indexed bigint NOT NULL DEFAULT 0;
CREATE INDEX resource_indexed ON resource (indexed, rid);

-- The bytes of a large Binary, in parts; the resource has the rest.
CREATE TABLE resource_part (body text COLLATE "C" NOT NULL, n bigint NOT NULL, at bigint NOT NULL, data bytea NOT NULL, PRIMARY KEY (body, n));
ALTER TABLE resource_part ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE resource ADD COLUMN parts text COLLATE "C" NOT NULL DEFAULT '', ADD COLUMN size bigint NOT NULL DEFAULT 0;
ALTER TABLE resource_history ADD COLUMN parts text COLLATE "C" NOT NULL DEFAULT '', ADD COLUMN size bigint NOT NULL DEFAULT 0;
CREATE INDEX resource_parts ON resource (parts) WHERE parts <> '';
CREATE INDEX resource_history_parts ON resource_history (parts) WHERE parts <> '';
