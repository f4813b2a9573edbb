-- +goose Up
-- When the content of a message was taken away because it is not kept any longer; 0: it is there.
ALTER TABLE messages ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;
