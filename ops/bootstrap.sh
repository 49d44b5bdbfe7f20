#!/bin/sh
# Makes .venv and installs what the lock names; does nothing when that was done already.
# Usage: ops/bootstrap.sh runtime|dev|providers. PYTHON=... chooses the interpreter.
# `providers` comes on top of one of the others and is kept up to date with it from then on.
set -eu

want=${1:-dev}
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/.venv
stamp=$venv/.installed
extra_stamp=$venv/.installed-providers
log=$venv/install.log

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# A stamp holds the set that is installed, this folder and the lock's sum.
state() { printf '%s %s %s' "$1" "$(cksum <"$root/ops/lock/$1.txt")" "$root"; }
has_base() {
    [ -x "$venv/bin/python" ] && [ -x "$venv/bin/gob" ] && [ -f "$stamp" ] || return 1
    had=$(cat "$stamp")
    [ "$had" = "$(state dev)" ] && return 0
    [ "$want" != dev ] && [ "$had" = "$(state runtime)" ]
}
wants_providers() { [ "$want" = providers ] || [ -f "$extra_stamp" ]; }
has_providers() { [ -f "$extra_stamp" ] && [ "$(cat "$extra_stamp")" = "$(state providers)" ]; }
is_done() { has_base && { ! wants_providers || has_providers; }; }

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null 2>&1 || fail "PYTHON=$PYTHON is no program; give the path of a Python 3.11 or newer."
        is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is older than Python 3.11; give a newer one."
        printf '%s' "$PYTHON"
        return
    fi
    for name in python3 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null 2>&1 && is_new_enough "$name"; then
            printf '%s' "$name"
            return
        fi
    done
    if command -v python3 >/dev/null 2>&1; then
        fail "GOB needs Python 3.11 or newer and found only $(python3 --version 2>&1); install a newer one or say PYTHON=/path/to/python3 make ..."
    fi
    fail "GOB needs Python 3.11 or newer and found none; install it, or say PYTHON=/path/to/python3 make ..."
}

make_venv() {
    python=$(find_python)
    say "Making .venv with $("$python" --version 2>&1) ..."
    rm -rf "$venv"
    if ! problem=$("$python" -m venv "$venv" 2>&1); then
        rm -rf "$venv"
        explain "$problem" "$python cannot make a virtual environment; install its venv module (on Debian and Ubuntu: apt install python3-venv)."
    fi
}

# One sentence for what pip or venv said in $1; $2 when it is none of the known troubles.
# $part is the lock that was being installed.
explain() {
    case $1 in
    *"No space left"*) fail "The disk is full; free about 500 MB in $root and run the same command again." ;;
    *"Read-only file system"* | *"Permission denied"*) fail "Files in $root cannot be written by this user; check who owns the folder and run the same command again." ;;
    *"DO NOT MATCH THE HASHES"*) fail "A downloaded package is not the one that ops/lock/$part.txt names, so it was not installed; check the package index or its mirror." ;;
    *"Failed to establish a new connection"* | *"name resolution"* | *"NewConnectionError"* | *"ConnectTimeout"* | *"timed out"* | *"ProxyError"* | *"SSLError"* | *"Connection refused"* | *"ConnectionResetError"* | *"Network is unreachable"*)
        fail "The package index cannot be reached; check the network and run the same command again (what pip said: .venv/install.log)." ;;
    *"No matching distribution"*) fail "A package in ops/lock/$part.txt is not offered for this Python and machine; try PYTHON= with another version (what pip said: .venv/install.log)." ;;
    *) fail "$2" ;;
    esac
}

# Counts pip's lines: rewritten in place on a terminal, every tenth one elsewhere.
show_progress() {
    live=0
    [ -t 2 ] && live=1
    awk -v total="$1" -v live="$live" '
        /^Collecting / { seen++; name = $2; sub(/[=;<>].*/, "", name)
            if (live) printf "\r  %d of %d  %-40s", seen, total, name > "/dev/stderr"
            else if (seen % 10 == 0) printf "  %d of %d\n", seen, total > "/dev/stderr" }
        /^Installing collected/ { if (live) printf "\r%-60s\r", "" > "/dev/stderr"
            print "  unpacking ..." > "/dev/stderr" }'
}

install_lock() {
    part=$1
    lock=$root/ops/lock/$part.txt
    total=$(grep -c '==' "$lock" || true)
    say "Installing up to $total packages from ops/lock/$part.txt (once; a minute or two) ..."
    result=$venv/.pip-result
    {
        code=0
        "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
            --retries 2 --no-deps --require-hashes -r "$lock" 2>&1 || code=$?
        printf '%s' "$code" >"$result"
    } | tee "$log" | show_progress "$total"
    [ "$(cat "$result")" = 0 ] && return
    explain "$(cat "$log")" "pip could not install ops/lock/$part.txt; what it said is in .venv/install.log."
}

# The packages of this folder by a .pth file, the command by a script: nothing to build.
install_command() {
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$root" >"$site/gob.pth"
    quoted=$(printf '%s' "$venv/bin/python" | sed "s/'/'\\\\''/g")
    # -P: a folder named app where the command is called must not win over ours.
    printf '#!/bin/sh\nexec '"'%s'"' -P -m app "$@"\n' "$quoted" >"$venv/bin/gob"
    chmod +x "$venv/bin/gob"
}

install_base() {
    base=$want
    [ "$base" = providers ] && base=runtime
    # What is installed for development also runs the server: never go back to less.
    if [ -f "$stamp" ] && [ "$(cut -d' ' -f1 <"$stamp")" = dev ]; then base=dev; fi
    if [ ! -x "$venv/bin/python" ] || ! is_new_enough "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        part=$base
        make_venv
    fi
    rm -f "$stamp"
    install_lock "$base"
    install_command
    state "$base" >"$stamp"
}

install_providers() {
    install_lock providers
    state providers >"$extra_stamp"
}

case $want in
runtime | dev | providers) ;;
*) fail "Say what to install: runtime, dev or providers." ;;
esac
is_done && exit 0
# Asked before a broken .venv is made anew, with which the stamp goes.
if wants_providers; then with_providers=yes; else with_providers=no; fi
has_base || install_base
if [ "$with_providers" = yes ] && ! has_providers; then install_providers; fi
say "Installed."
