-- +goose Up
-- History of a type, by position. The row of change_cursor without a name says
-- which position was given last; whoever holds it locked gives the next ones.
CREATE INDEX change_log_type ON change_log (rtype, pos) WHERE pos IS NOT NULL;
INSERT INTO change_cursor (consumer, pos) SELECT '', COALESCE(MAX(pos), 0) FROM change_log;
