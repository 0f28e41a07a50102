#!/bin/bash
# headers.sh BUILD: compiles alone each header that no source file of the same name includes first.
# The others are known to compile alone, because their source file does (includes.py sees to that).
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

flags=$(/usr/bin/python3 - "$1" <<'END'
import json, shlex, sys
# Of the unit tests' commands: they may include everything.
entry = next(e for e in json.load(open(sys.argv[1] + "/compile_commands.json"))
             if "/tests/unit/" in e["file"])
words = shlex.split(entry["command"])
print(*[w for w in words if w.startswith(("-D", "-I", "-std", "-W", "-isystem"))])
END
)

headers=()
while read -r header; do
    [[ -e ${header%.hpp}.cpp ]] || headers+=("$header")
done < <(git ls-files 'common/*.hpp' 'preload/*.hpp' 'proxy/*.hpp')

compile_alone() { g++ "${@:2}" -x c++ -fsyntax-only - <<<"#include \"$1\""; }
export -f compile_alone

# $flags is meant to be split into words.
# shellcheck disable=SC2086
printf '%s\n' "${headers[@]}" | xargs -P "$(nproc)" -I{} bash -c 'compile_alone "$@"' - {} $flags
