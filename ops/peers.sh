#!/bin/sh
# Installs the servers of others that model clients are tried against.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/ops/node.sh"

need_node "make peers"
install_packages tests/peers
