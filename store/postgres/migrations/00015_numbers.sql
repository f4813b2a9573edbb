-- +goose Up
-- Which delivery of a route had a number last, where messages are counted with the
-- receiver: written before a byte of it leaves.
CREATE TABLE numbers (unit text NOT NULL, number bigint NOT NULL, delivery bigint NOT NULL, PRIMARY KEY (unit, number));
CREATE UNIQUE INDEX numbers_delivery ON numbers (unit, delivery);
