#!/usr/bin/env bash
# Sees to it that PostgreSQL's programs are there for the tests: on PATH, in
# Debian's folders, or installed from Debian's packages.
set -euo pipefail
if command -v postgres >/dev/null 2>&1 && command -v initdb >/dev/null 2>&1; then exit 0; fi
for bin in /usr/lib/postgresql/*/bin; do
	if [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ]; then exit 0; fi
done
if ! command -v apt-get >/dev/null 2>&1; then
	echo "PostgreSQL is missing: install its server programs (initdb, postgres) and run this again" >&2
	exit 1
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# No cluster of the machine's own: the tests start a private one.
$sudo mkdir -p /etc/postgresql-common
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	echo "create_main_cluster = false" | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
$sudo apt-get install -y -qq --no-install-recommends postgresql >/dev/null
