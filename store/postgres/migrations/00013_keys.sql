-- +goose Up
-- Keys of repeats (Idempotency-Key) are kept for a week; they are found by age.
CREATE INDEX ingest_key_at ON ingest_key (at);
