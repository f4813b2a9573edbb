-- +goose Up
-- History of a type, and of what was written since; the position is seq here.
CREATE INDEX change_log_type ON change_log (rtype);
CREATE INDEX change_log_at ON change_log (at);

-- Which extractor of search index rows wrote those of a resource: a number of
-- this table, 0 for none that is known. The last one is that of the engine that
-- started last.
CREATE TABLE extractor (n INTEGER PRIMARY KEY, version TEXT NOT NULL, at INTEGER NOT NULL);
ALTER TABLE resource ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX resource_indexed ON resource (indexed);

-- The bytes of a large Binary, in parts; the resource has the rest.
CREATE TABLE resource_part (body TEXT NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (body, n));
ALTER TABLE resource ADD COLUMN parts TEXT NOT NULL DEFAULT '';
ALTER TABLE resource ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE resource_history ADD COLUMN parts TEXT NOT NULL DEFAULT '';
ALTER TABLE resource_history ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
CREATE INDEX resource_parts ON resource (parts) WHERE parts <> '';
CREATE INDEX resource_history_parts ON resource_history (parts) WHERE parts <> '';
