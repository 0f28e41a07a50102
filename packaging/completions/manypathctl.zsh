#compdef manypathctl
# manypathctl.zsh: completion for zsh, installed as site-functions/_manypathctl.
# SPDX-License-Identifier: Apache-2.0

_arguments \
    '(- *)'{-h,--help}'[print a summary of options and commands]' \
    '--socket[control socket of the daemon]:socket:_files' \
    '--json[print JSON instead of tables]' \
    '(- *)--version[print the version]' \
    '1:command:((
        status\:"the daemon and its listeners"
        connections\:"the connections that it carries now"
        paths\:"the uplinks and what goes over them"
        reload\:"put the configuration file into force"))'
