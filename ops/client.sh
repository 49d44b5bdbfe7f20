#!/bin/sh
# Installs the example client's packages, writes its types from the schema and checks its code.
# Packages are installed again only when their lock has changed.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
client=$root/docs/clients/typescript
stamp=$client/node_modules/.installed-lock
log=$client/install.log

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# What vite asks for, and says in package.json.
is_new_enough() {
    node -e 'const [a, b] = process.versions.node.split(".").map(Number);
        process.exit((a === 20 && b >= 19) || (a === 22 && b >= 12) || a > 22 ? 0 : 1)'
}

command -v node >/dev/null 2>&1 || fail "make client needs Node 20.19, 22.12 or newer and found none; install it from nodejs.org or your system's packages."
is_new_enough || fail "make client needs Node 20.19, 22.12 or newer and found $(node --version)."
command -v npm >/dev/null 2>&1 || fail "make client needs npm beside Node and found none; install npm."

if ! cmp -s "$client/package-lock.json" "$stamp"; then
    say "Installing the packages of docs/clients/typescript/package-lock.json (once) ..."
    if ! npm ci --prefix "$client" --no-audit --no-fund >"$log" 2>&1; then
        fail "npm could not install them; check the network and run the same command again (what npm said: docs/clients/typescript/install.log)."
    fi
    rm -f "$log"
    cp "$client/package-lock.json" "$stamp"
fi
cd "$client"
npm run --silent check
say "The client fits the schema. Serve its page: npm run dev --prefix docs/clients/typescript"
