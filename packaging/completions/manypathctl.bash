# manypathctl.bash: completion for bash, installed as bash-completion/completions/manypathctl.
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

_manypathctl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local offered="status connections paths reload" word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        [[ " $offered " == *" $word "* ]] && offered="" # one command is enough
    done
    if [[ $previous == --socket ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
    fi
    [[ $current == -* ]] && offered="-h --help --json --socket --version"
    mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$current")
}

complete -F _manypathctl manypathctl
