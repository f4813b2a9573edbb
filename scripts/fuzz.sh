#!/usr/bin/env bash
# Runs every fuzz target of the module in turn, each for the time given.
set -euo pipefail
time="${1:-60s}"
go list ./... | while read -r package; do
	go test -list '^Fuzz' "$package" 2>/dev/null | { grep '^Fuzz' || true; } | while read -r target; do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 200x "$package" </dev/null
	done
done
