#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash
#
# /init of the guest: makes it look like an ordinary machine, runs /plan/NUMBER one after another, and switches off.
# To the host: frames on the second serial port (BEGIN, END, FILES; see guest.py), the plans' output on the third.
export PATH=/nightjar/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LOGNAME=root SHELL=/bin/sh
umask 022

if [ "$1" != second ]; then
  # On an ordinary machine / is a mount over the kernel's rootfs. Some things differ without it (pivot_root fails).
  mount -o bind / /newroot
  cd /newroot || exit 1
  mount -o move . /
  exec chroot . /init second
fi
cd / || exit 1
chmod 755 /

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 pts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=755 run /run
mount -t bpf -o mode=700 bpf /sys/fs/bpf
mount -t securityfs security /sys/kernel/security
# As systemd mounts them: nightjar.cgroups=v1 is a machine that has no version 2 at all, hybrid one that has both, with
# the controllers in version 1.
cgroups=$(sed -n 's/.*nightjar\.cgroups=\([a-z0-9]*\).*/\1/p' /proc/cmdline)
if [ -z "$cgroups" ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
  for controller in memory pids cpu; do
    mkdir "/sys/fs/cgroup/$controller"
    mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" || rmdir "/sys/fs/cgroup/$controller"
  done
  mkdir /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
  if [ "$cgroups" = hybrid ]; then
    mkdir /sys/fs/cgroup/unified
    mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
  fi
fi
# Neither tracefs nor debugfs: the sensor has to do without.
for controller in cpu memory pids; do
  [ -n "$cgroups" ] || echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done 2>/dev/null
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
while read -r module; do
  insmod "/lib/modules/$module" || echo "insmod $module failed"
done </etc/modules.load
ip link set lo up
hostname nightjar-guest

exec 8>/dev/ttyS1 9>/dev/ttyS2
stty -F /dev/ttyS1 raw -echo
stty -F /dev/ttyS2 raw -echo

uptime_now() {
  read -r now _ </proc/uptime
  echo "$now"
}

dmesg -c >/run/boot.dmesg
echo "READY $(uptime_now) $(uname -r)" >&8

while read -r number limit; do
  mkdir -p "/out/$number"
  printf '\036BEGIN %s\n' "$number" >&9
  echo "BEGIN $number $(uptime_now)" >&8
  # The output goes through a pipe: no test has a terminal, and none can make one its controlling terminal.
  rm -f /run/pipe
  mkfifo /run/pipe
  cat </run/pipe >&9 8>&- &
  cat=$!
  timeout -s KILL "$limit" setsid "/plan/$number" </dev/null >/run/pipe 2>&1 8>&- 9>&- &
  wait "$!"
  status=$?
  ended="$(uptime_now)"
  # What is still running may hold the pipe; what has been written must come through first.
  tries=0
  while kill -0 "$cat" 2>/dev/null && [ "$tries" -lt 50 ]; do
    usleep 20000
    tries=$((tries + 1))
  done
  for process in /proc/[0-9]*; do
    case "${process#/proc/}" in 1 | "$cat") continue ;; esac
    readlink "$process/exe" >/dev/null 2>&1 || continue # a kernel thread, or a zombie
    tr '\0' ' ' <"$process/cmdline" 2>/dev/null | cut -c 1-200
    echo
  done 2>/dev/null | grep -Ev '^(tr|cut|grep|readlink|timeout -s KILL) |^$|^/bin/busybox sh /init|^\{init\}' >/run/left
  [ -s /run/left ] && cp /run/left "/out/$number/left"
  kill -9 -1 2>/dev/null
  wait
  # Only what tells of trouble in the kernel.
  dmesg -c >/run/dmesg
  if grep -Eq 'BUG:|WARNING:|Oops|RIP:|detected stall|blocked for more than|Out of memory' /run/dmesg; then
    cp /run/dmesg "/out/$number/dmesg"
  fi
  printf '\n\036END %s\n' "$number" >&9
  echo "FILES $number" >&8
  tar -C "/out/$number" -cf - . | gzip -1 | base64 >&8
  echo "." >&8
  echo "END $number $status $ended" >&8
  rm -rf "/out/$number" /tmp/* /tmp/.[!.]* /dev/shm/*
done </plan/list

echo "DONE $(uptime_now)" >&8
sync
poweroff -f
