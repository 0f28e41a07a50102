#compdef manypath
# manypath.zsh: completion for zsh, installed as site-functions/_manypath.
# SPDX-License-Identifier: Apache-2.0

local -a help=('(- *)'{-h,--help}'[print a summary of options]')
local -a target=(
    '(-6 --ipv6)'{-4,--ipv4}'[use IPv4 only]'
    '(-4 --ipv4)'{-6,--ipv6}'[use IPv6 only]'
    '--timeout[seconds for name and connection]:seconds:'
    '1:host:_hosts'
    '2:port:_ports'
)

_manypath_command() {
    case $words[1] in
        run)
            _arguments -S $help \
                '--report[say at the end what became of its sockets]' \
                '--debug[let the library say on standard error what it does]' \
                '(-)1:program:_command_names -e' \
                '*::arguments:_normal'
            ;;
        check) _arguments $help '--json[print the findings as JSON]' $target ;;
        connect) _arguments $help '--fdpass[hand over the connected socket]' $target ;;
    esac
}

_arguments \
    '(- *)'{-h,--help}'[print a summary of commands]' \
    '(- *)--version[print the version]' \
    '1:command:((
        run\:"run a program whose TCP connections become MPTCP"
        check\:"say whether MPTCP works here, or towards a server, and how to mend it"
        connect\:"pass standard input and output over MPTCP"))' \
    '*::option:_manypath_command'
