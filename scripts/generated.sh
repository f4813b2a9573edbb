#!/usr/bin/env bash
# Generates what is made from code and says what was not up to date.
set -euo pipefail
before=$(git status --porcelain -- . ; git diff | sha256sum)
go mod tidy
go generate ./...
after=$(git status --porcelain -- . ; git diff | sha256sum)
if [ "$before" != "$after" ]; then
	echo "generated files were not up to date; commit what go generate made:" >&2
	git status --porcelain -- . >&2
	exit 1
fi
