# SPDX-License-Identifier: Apache-2.0
# Completion for fish. Commands and options come from --help.
function __nightjar_commands
    nightjar --help 2>/dev/null | awk '/^Subcommands:/ { on = 1; next } on && /^  [a-z]/ { print $1 }'
end
function __nightjar_options
    set -l typed (commandline -opc)
    nightjar $typed[2] --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u
end
complete -c nightjar -n 'test (count (commandline -opc)) -eq 1' -f -a '(__nightjar_commands)'
complete -c nightjar -n '__fish_seen_subcommand_from config' -a 'check show'
complete -c nightjar -n '__fish_seen_subcommand_from atlas' -a 'add build diff export list lookup merge pack show verify'
complete -c nightjar -n 'test (count (commandline -opc)) -gt 1; and string match -q -- "-*" (commandline -ct)' -f -a '(__nightjar_options)'
