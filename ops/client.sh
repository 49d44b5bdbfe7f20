#!/bin/sh
# Installs the example client's packages, writes its types from the schema and checks its code.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/ops/node.sh"

need_node "make client"
install_packages docs/clients/typescript
cd "$root/docs/clients/typescript"
npm run --silent check
say "The client fits the schema. Serve its page: npm run dev --prefix docs/clients/typescript"
