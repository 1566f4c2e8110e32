# SPDX-License-Identifier: Apache-2.0
# Completion for fish. Commands, options and events come from the program, so that they never differ from it.
function __nightjar_list
    set -l typed (commandline -opc)
    # What follows -- is a command of its own.
    if set -l at (contains -i -- -- $typed)
        set -l words
        test $at -lt (count $typed); and set words (string escape -- $typed[(math $at + 1)..-1])
        complete -C (string join -- ' ' $words (commandline -ct))
        return
    end
    if test (count $typed) -eq 1
        nightjar --help 2>/dev/null | awk '/^Subcommands:/ { on = 1; next } on && /^  [a-z]/ { print $1 }'
        return
    end
    if string match -q -- '-*' (commandline -ct)
        nightjar $typed[2] --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u
        return
    end
    switch $typed[-1]
        case config
            printf '%s\n' check show
        case atlas
            printf '%s\n' add build diff export list lookup merge pack show verify
        case --events
            # A list: what stands before the last comma stays.
            set -l before (string replace -r '[^,]*$' '' -- (commandline -ct))
            printf "$before%s\n" (nightjar events --json 2>/dev/null | grep -oE '"name":"[a-z_]+","family"' | cut -d'"' -f4)
        case --format
            printf '%s\n' ecs ocsf
        case --output
            printf '%s\n' - file: unix: syslog: journald: kafka:// http:// https:// otlp+http:// otlp+https://
        case --scope
            printf '%s\n' all tree: cgroup:
        case --transport
            printf '%s\n' auto ringbuf perf
        case --program-tier
            printf '%s\n' auto btf kprobe tracepoint legacy
        case '*'
            __fish_complete_path (commandline -ct)
    end
end
complete -c nightjar -f -a '(__nightjar_list)'
