-- +goose Up
-- History of a type, and of what was written since; the position is seq here.
CREATE INDEX change_log_type ON change_log (rtype);
CREATE INDEX change_log_at ON change_log (at);
