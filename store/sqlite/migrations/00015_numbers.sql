-- +goose Up
-- Which delivery of a route had a number last, where messages are counted with the
-- receiver: written before a byte of it leaves.
CREATE TABLE numbers (unit TEXT NOT NULL, number INTEGER NOT NULL, delivery INTEGER NOT NULL, PRIMARY KEY (unit, number));
CREATE UNIQUE INDEX numbers_delivery ON numbers (unit, delivery);
