# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion for bash. Commands, options and events come from the program, so that they never differ from it.
_nightjar() {
  local word="${COMP_WORDS[COMP_CWORD]}" words="" before="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    # What follows -- is a command of its own.
    [[ "${COMP_WORDS[i]}" == -- ]] && compopt -o default && return
  done
  if ((COMP_CWORD == 1)); then
    words="$(nightjar --help 2>/dev/null | awk '/^Subcommands:/ { on = 1; next } on && /^  [a-z]/ { print $1 }')"
  elif [[ "${COMP_WORDS[1]}" == config && $COMP_CWORD -eq 2 ]]; then
    words="check show"
  elif [[ "${COMP_WORDS[1]}" == atlas && $COMP_CWORD -eq 2 ]]; then
    words="add build diff export list lookup merge pack show verify"
  elif [[ "$word" == -* ]]; then
    words="$(nightjar "${COMP_WORDS[1]}" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u)"
  else
    case "${COMP_WORDS[COMP_CWORD - 1]}" in
      --events)
        words="$(nightjar events --json 2>/dev/null | grep -oE '"name":"[a-z_]+","family"' | cut -d'"' -f4)"
        before="${word%"${word##*,}"}" # a list: what stands before the last comma stays
        ;;
      --format) words="ecs ocsf" ;;
      --output)
        words="- file: unix: syslog: journald: kafka:// http:// https:// otlp+http:// otlp+https://"
        compopt -o nospace
        ;;
      --scope)
        words="all tree: cgroup:"
        compopt -o nospace
        ;;
      --transport) words="auto ringbuf perf" ;;
      --program-tier) words="auto btf kprobe tracepoint legacy" ;;
      *) compopt -o default && return ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -P "$before" -W "$words" -- "${word#"$before"}")
}
complete -F _nightjar nightjar
