# manypath.fish: completion for fish, installed as vendor_completions.d/manypath.fish.
# SPDX-License-Identifier: Apache-2.0

set -l commands run check connect
set -l none "not __fish_seen_subcommand_from $commands"
set -l target "__fish_seen_subcommand_from check connect"

complete -c manypath -f
complete -c manypath -s h -l help -d "Print a summary of options"
complete -c manypath -n $none -l version -d "Print the version"
complete -c manypath -n $none -a run -d "Run a program whose TCP connections become MPTCP"
complete -c manypath -n $none -a check -d "Say whether MPTCP works, and how to mend it"
complete -c manypath -n $none -a connect -d "Pass standard input and output over MPTCP"

complete -c manypath -n "__fish_seen_subcommand_from run" -l report -d "Say at the end what became of its sockets"
complete -c manypath -n "__fish_seen_subcommand_from run" -l debug -d "Let the library say what it does"
complete -c manypath -n "__fish_seen_subcommand_from run" -xa "(__fish_complete_subcommand --fcs-skip=2)"

complete -c manypath -n $target -s 4 -l ipv4 -d "Use IPv4 only"
complete -c manypath -n $target -s 6 -l ipv6 -d "Use IPv6 only"
complete -c manypath -n $target -x -l timeout -d "Seconds for name and connection"
complete -c manypath -n $target -xa "(__fish_print_hostnames)"
complete -c manypath -n "__fish_seen_subcommand_from check" -l json -d "Print the findings as JSON"
complete -c manypath -n "__fish_seen_subcommand_from connect" -l fdpass -d "Hand over the connected socket"
