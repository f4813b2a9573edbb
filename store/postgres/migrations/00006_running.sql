-- +goose Up
-- Which configuration of a channel or route each engine runs, and since when: of
-- two that differ the one that was read last is the one to work by.
CREATE TABLE running (
  owner text COLLATE "C" NOT NULL REFERENCES engines ON DELETE CASCADE,
  unit text COLLATE "C" NOT NULL,
  hash text COLLATE "C" NOT NULL,
  since bigint NOT NULL,
  PRIMARY KEY (owner, unit)
);
