# What the scripts that use Node share; they set $root and read this file with a dot.

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# What the packages ask for in their package.json.
is_new_enough() {
    node -e 'const [a, b] = process.versions.node.split(".").map(Number);
        process.exit((a === 20 && b >= 19) || (a === 22 && b >= 12) || a > 22 ? 0 : 1)'
}

# Says what is missing for the command in $1.
need_node() {
    command -v node >/dev/null 2>&1 || fail "$1 needs Node 20.19, 22.12 or newer and found none; install it from nodejs.org or your system's packages."
    is_new_enough || fail "$1 needs Node 20.19, 22.12 or newer and found $(node --version)."
    command -v npm >/dev/null 2>&1 || fail "$1 needs npm beside Node and found none; install npm."
}

# Installs what the lock in folder $1 names, again only when it has changed.
install_packages() {
    folder=$root/$1
    stamp=$folder/node_modules/.installed-lock
    log=$folder/install.log
    cmp -s "$folder/package-lock.json" "$stamp" && return
    say "Installing the packages of $1/package-lock.json (once) ..."
    if ! npm ci --prefix "$folder" --no-audit --no-fund >"$log" 2>&1; then
        fail "npm could not install them; check the network and run the same command again (what npm said: $1/install.log)."
    fi
    rm -f "$log"
    cp "$folder/package-lock.json" "$stamp"
}
