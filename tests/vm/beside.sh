#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In a guest: two agents, auditd and a bpftrace script see one storm of 2,003 execs, and each must count 2,003.
# Everything counts executions of the program "tiny" alone. With the packages auditd and bpftrace installed here:
#
#   tests/vm/run.py --kernel 6.12 --memory 3072 --add tests/vm/beside.sh:/beside.sh \
#     --add /usr/bin/bpftrace:/usr/bin/bpftrace --add /usr/sbin/auditd:/usr/sbin/auditd \
#     --add /usr/sbin/auditctl:/usr/sbin/auditctl --exec 'sh /beside.sh'
count=2003
work=$(mktemp -d)
mkdir -p /var/log/audit /etc/audit /sys/kernel/tracing
grep -q ' /sys/kernel/tracing ' /proc/mounts || mount -t tracefs tracefs /sys/kernel/tracing
grep -q ' /sys/kernel/debug ' /proc/mounts || mount -t debugfs debugfs /sys/kernel/debug
cat >/etc/audit/auditd.conf <<'END'
local_events = yes
write_logs = yes
log_file = /var/log/audit/audit.log
log_group = root
log_format = RAW
flush = NONE
max_log_file = 200
max_log_file_action = IGNORE
space_left = 20
space_left_action = IGNORE
admin_space_left = 10
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
END
chmod 0640 /etc/audit/auditd.conf
chmod 0700 /var/log/audit

# Until the file has the text.
await() {
  for _ in $(seq 600); do
    grep -q -e "$2" "$1" 2>/dev/null && return 0
    sleep 0.2
  done
  echo "$1 never had: $2"
  cat "$1"
  return 1
}

auditd -n >"$work/auditd" 2>&1 &
auditd=$!
sleep 3
auditctl -b 16384 >/dev/null || echo "auditctl -b failed"
auditctl -a always,exit -F arch=b64 -S execve -F exe=/nightjar/tests/workloads/tiny -k storm ||
  echo "auditctl -a failed"
bpftrace -e 'BEGIN { printf("begun\n"); } tracepoint:sched:sched_process_exec /comm == "tiny"/ { @tiny = count(); }' \
  >"$work/bpftrace" 2>&1 &
bpftrace=$!
await "$work/bpftrace" begun || exit 1
agents=
for number in 1 2; do
  "$NIGHTJAR_BIN" run --events all --output "file:$work/events.$number" 2>"$work/err.$number" &
  agents="$agents $!"
done
for number in 1 2; do
  await "$work/events.$number" process_snapshot || exit 1
done
sleep 2

/nightjar/tests/workloads/exec_storm "$work/log" 2 "$count" /nightjar/tests/workloads/tiny 1
sleep 5
kill -INT "$bpftrace"
# shellcheck disable=SC2086 # a list of numbers
kill -TERM $agents
# shellcheck disable=SC2086
wait "$bpftrace" $agents
sleep 2
kill -TERM "$auditd"
wait "$auditd"

status=0
# NAME COUNT
verdict() {
  echo "$1: $2 of $count"
  [ "$2" = "$count" ] || status=1
}
verdict "the storm's own log" "$(grep -c '"t":"start"' "$work/log")"
for number in 1 2; do
  verdict "agent $number" "$(grep '"action":"exec"' "$work/events.$number" | grep -c '"name":"tiny"')"
  grep '"events_lost"' "$work/events.$number"
done
verdict auditd "$(grep 'type=SYSCALL' /var/log/audit/audit.log | grep 'success=yes' | grep -c 'key="storm"')"
verdict bpftrace "$(sed -n 's/^@tiny: //p' "$work/bpftrace")"
[ "$status" = 0 ] || tail -n 5 "$work/auditd" "$work/bpftrace" "$work/err.1" "$work/err.2"
exit "$status"
