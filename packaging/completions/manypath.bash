# manypath.bash: completion for bash, installed as bash-completion/completions/manypath.
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

# Behind `manypath run` and its options any command may stand, completed as it would be alone.
_manypath_run() {
    local at=2
    while ((at < COMP_CWORD)) && [[ ${COMP_WORDS[at]} == -* ]]; do
        ((at++))
        [[ ${COMP_WORDS[at - 1]} == -- ]] && break
    done
    if ((at < COMP_CWORD)) || [[ ${COMP_WORDS[COMP_CWORD]} != -* || ${COMP_WORDS[at - 1]} == -- ]]; then
        if declare -F _command_offset >/dev/null; then
            _command_offset "$at"
        else
            compopt -o default
            mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
        fi
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "-h --help --report --debug --" -- "${COMP_WORDS[COMP_CWORD]}")
}

_manypath() {
    local current=${COMP_WORDS[COMP_CWORD]} offered=""
    if ((COMP_CWORD == 1)); then
        offered="run check connect"
        [[ $current == -* ]] && offered="-h --help --version"
    elif [[ ${COMP_WORDS[1]} == run ]]; then
        _manypath_run
        return
    elif [[ $current == -* ]]; then
        offered="-h --help -4 --ipv4 -6 --ipv6 --timeout"
        [[ ${COMP_WORDS[1]} == check ]] && offered+=" --json"
        [[ ${COMP_WORDS[1]} == connect ]] && offered+=" --fdpass"
    else
        mapfile -t COMPREPLY < <(compgen -A hostname -- "$current")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$current")
}

complete -F _manypath manypath
