-- +goose Up
-- The content of a message beside its row: the row is written again by what
-- becomes of the message, the content is not.
CREATE TABLE bodies (message bigint PRIMARY KEY, data bytea NOT NULL);
INSERT INTO bodies (message, data) SELECT seq, body FROM messages WHERE body IS NOT NULL AND chunks = '' AND pruned = 0 ORDER BY seq;
ALTER TABLE messages DROP COLUMN body;
