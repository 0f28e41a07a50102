# manypathd.bash: completion for bash, installed as bash-completion/completions/manypathd.
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

_manypathd() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    case $previous in
    -c | --config)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    --user)
        mapfile -t COMPREPLY < <(compgen -u -- "$current")
        ;;
    --log-level)
        mapfile -t COMPREPLY < <(compgen -W "debug info warning error" -- "$current")
        ;;
    *)
        local options="-h --help -c --config --check --user --log-level --version"
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
        ;;
    esac
}

complete -F _manypathd manypathd
