#!/bin/sh
# Writes the files of ops/lock from pyproject.toml: exact versions with hashes and no addresses,
# the same for every platform. Needs the network; `make lock` runs it.
#   runtime.txt    what the server needs
#   providers.txt  the same, and what MODEL_PROVIDER=providers needs
#   dev.txt        what the server needs, and its checks and tests
set -eu

cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${PYTHON:-python3}" -m venv "$tools/venv"
"$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv

# A package found beside the index brings an address into its line; nothing but names may stay.
compile() {
    "$tools/venv/bin/uv" pip compile --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet "$@"
}
compile pyproject.toml --output-file ops/lock/runtime.txt ${UPGRADE:+--upgrade}
compile pyproject.toml --extra providers --constraints ops/lock/runtime.txt \
    --output-file ops/lock/providers.txt ${UPGRADE:+--upgrade}
compile pyproject.toml --group dev --constraints ops/lock/providers.txt \
    --output-file ops/lock/dev.txt ${UPGRADE:+--upgrade}
printf 'Wrote ops/lock/runtime.txt, providers.txt and dev.txt; run `make check` next.\n'
