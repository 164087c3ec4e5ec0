#!/usr/bin/env bash
# Builds the documentation as a site: the pages in docs/, and the reference of plugins and roles from their own sources. Anything that a tool
# warns of, a link that leads nowhere among it, is an error. Run by `./bulwark docs`, which puts the programs on PATH.
#
# Usage: build.sh FOLDER
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Made anew, so that nothing stays of pages that are gone; hence never a folder that holds something else.
mkdir -p "$1"
site=$(cd "$1" && pwd)
[ -z "$(ls -A "$site")" ] || [ -e "$site/objects.inv" ] || { printf 'bulwark: %s is neither empty nor such a site\n' "$site" >&2; exit 1; }
cd "$top"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ANSIBLE_CONFIG=$top/ansible.cfg ANSIBLE_INVENTORY=/dev/null ANSIBLE_NOCOLOR=1

# Their output is long and only of interest where something is wrong.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

quietly antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self --disallow-unknown-collection-refs .
quietly antsibull-changelog lint
cp -r docs "$work/source"
mkdir -m 0700 "$work/source/reference"
quietly antsibull-docs collection --use-current --squash-hierarchy --fail-on-error --no-add-antsibull-docs-version \
  --dest-dir "$work/source/reference" bulwark.hetzner
quietly tools/site/pages.sh "$work/source" "$work/site"
find "$site" -mindepth 1 -delete
cp -r "$work/site/." "$site"
cp "$site/README.html" "$site/index.html" # what a web server shows of a folder
