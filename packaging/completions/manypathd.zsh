#compdef manypathd
# manypathd.zsh: completion for zsh, installed as site-functions/_manypathd.
# SPDX-License-Identifier: Apache-2.0

_arguments \
    '(- *)'{-h,--help}'[print a summary of options]' \
    {-c,--config}'[configuration file]:file:_files -g "*.toml"' \
    '--check[validate the configuration and exit]' \
    '--user[user of the worker when started as root]:user:_users' \
    '--log-level[least severe lines to log]:level:(debug info warning error)' \
    '(- *)--version[print the version]'
