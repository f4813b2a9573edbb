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
