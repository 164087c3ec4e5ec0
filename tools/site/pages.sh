#!/usr/bin/env bash
# Makes a site of a folder of pages. Every warning is told, and is an error.
#
# Usage: pages.sh SOURCE FOLDER
set -euo pipefail

exec sphinx-build --quiet --fail-on-warning --keep-going --nitpicky -j 2 -c "$(dirname "${BASH_SOURCE[0]}")" -d "$2.doctrees" "$1" "$2"
