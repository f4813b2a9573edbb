-- +goose Up
-- Which configuration of a channel or route each engine runs, and since when: of
-- two that differ the one that was read last is the one to work by.
CREATE TABLE running (
  owner TEXT NOT NULL REFERENCES engines ON DELETE CASCADE,
  unit TEXT NOT NULL,
  hash TEXT NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (owner, unit)
) WITHOUT ROWID;
