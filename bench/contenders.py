# SPDX-License-Identifier: Apache-2.0
"""What the workloads are measured against: each starts, is ready, counts, and leaves nothing behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

TRACEFS = "test -e /sys/kernel/tracing/events || mount -t tracefs tracefs /sys/kernel/tracing; "
LOGIN_UID = 64242  # of the workloads, so that audit rules can name them


class Skipped(Exception):
    """Why a contender does not take part."""


def cpu_seconds(pid):
    """What the threads of a process have run, in nanoseconds exact; those that ended do not count."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            spent += int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass  # it ended meanwhile
    return spent / 1e9


def kernel_thread(name):
    """Its pid, or None."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == name and not (comm.parent / "cmdline").read_bytes():
                return int(comm.parent.name)
        except OSError:
            pass
    return None


def peak_rss_mb(pid):
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


class Contender:
    """Nothing at all; the others add to it."""

    name = "nothing"
    what = "no sensor"

    def __init__(self, name=None, what=None):
        self.name = name or self.name
        self.what = what or self.what
        self.process = None
        self.folder = None
        self.started = 0.0  # seconds until ready

    def start(self, root_pid):
        """Watches the tree of root_pid. Raises Skipped when it cannot."""

    def pids(self):
        return [self.process.pid] if self.process else []

    def cpu(self):
        return sum(cpu_seconds(pid) for pid in self.pids())

    def rss(self):
        return sum(peak_rss_mb(pid) for pid in self.pids())

    def stop(self):
        """Returns facts about the session: {} when there are none."""
        return {}

    def end_process(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None


def wait_for(condition, process, seconds, what):
    """Polls: what is waited for here are other programs' files."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise Skipped(f"{what} ended with status {process.returncode}")
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise Skipped(f"{what} was not ready within {seconds} s")
        time.sleep(0.01)


class Empty(Contender):
    name = "empty programs"
    what = "programs that do nothing on the same hooks, the whole machine: the floor"

    def __init__(self, loader, program):
        super().__init__()
        self.command = [str(loader), str(program)]

    def start(self, root_pid):
        begin = time.monotonic()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if self.process.stdout.readline() != b"ready\n":
            self.end_process()
            raise Skipped("this kernel refuses the empty programs")
        self.started = time.monotonic() - begin

    def stop(self):
        if not self.process:
            return {}
        told, _ = self.process.communicate(timeout=30)
        status, self.process = self.process.returncode, None
        if status != 0:
            raise RuntimeError(f"the empty programs ended with status {status}")
        return {"programs": json.loads(told)}


class Nightjar(Contender):
    """Events go to a file, which is counted and removed."""

    def __init__(self, name, what, agent, arguments=(), others=False):
        super().__init__(name, what)
        self.agent = agent
        self.arguments = list(arguments)
        self.others = others
        self.idle = None

    def start(self, root_pid):
        if self.others:  # a scope that holds a process which does nothing
            self.idle = subprocess.Popen(["sleep", "infinity"])
            root_pid = self.idle.pid
        self.folder = Path(tempfile.mkdtemp(prefix="nightjar-bench-"))
        events = self.folder / "events.ndjson"
        begin = time.monotonic()
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [str(self.agent), "run", "--scope", f"tree:{root_pid}", "--output", f"file:{events}", *self.arguments],
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        try:
            wait_for(lambda: events.exists() and events.stat().st_size > 0, self.process, 60, self.name)
        except Skipped as skipped:
            said = (self.folder / "log").read_text().strip().splitlines()
            self.process = None
            self.stop()
            raise Skipped(f"{skipped}: {said[-1] if said else 'it said nothing'}") from None
        self.started = time.monotonic() - begin

    def stop(self):
        self.end_process(signal.SIGINT)
        if self.idle:
            self.idle.kill()
            self.idle.wait()
            self.idle = None
        facts = {}
        events = self.folder / "events.ndjson"
        if events.exists():
            with open(events, "rb") as lines:
                facts = session_facts(lines)
        shutil.rmtree(self.folder)
        return facts


class WholeMachine(Nightjar):
    """As `nightjar run` without a scope: what it tells, of others' processes too, is thrown away as it comes; only what
    it says of itself is looked at."""

    def start(self, root_pid):
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [str(self.agent), "run", *self.arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.facts, ready = {}, threading.Event()
        self.reader = threading.Thread(target=self.read, args=(self.process.stdout, ready))
        self.reader.start()
        try:
            wait_for(ready.is_set, self.process, 60, self.name)
        except Skipped:
            self.stop()
            raise
        self.started = time.monotonic() - begin

    def read(self, stream, ready):
        def of_itself():
            for line in stream:
                ready.set()
                if b'"action":"sensor_' in line:
                    yield line

        self.facts = session_facts(of_itself())

    def stop(self):
        self.end_process(signal.SIGINT)
        self.reader.join()
        return self.facts


def session_facts(lines):
    """What the stream says about itself, and what it weighs."""
    by_action, size = {}, {}
    last = None
    for line in lines:
        action = re.search(rb'"action":"([a-z_]+)"', line)[1].decode()
        by_action[action] = by_action.get(action, 0) + 1
        size[action] = size.get(action, 0) + len(line)
        last = line
    stats = json.loads(last).get("nightjar", {}).get("stats", {}) if last else {}
    lost = sum(kind.get("lost", 0) for kind in stats.get("events", {}).values())
    return {
        "events": by_action,
        "bytes": size,
        "lost": lost,
        "suppressed": sum(stats.get("suppressed", {}).values()),
        "programs": stats.get("programs", []),
        "peak_rss_mb": stats.get("peak_rss_kb", 0) / 1024,
    }


EXEC_RULES = ["-S", "execve", "-S", "execveat"]
FULL_RULES = [
    *EXEC_RULES,
    *["-S", "connect", "-S", "accept", "-S", "accept4", "-S", "bind"],
    *["-S", "open", "-S", "openat", "-S", "creat", "-S", "unlink", "-S", "unlinkat", "-S", "rename", "-S", "renameat2"],
    *["-S", "chmod", "-S", "fchmodat", "-S", "chown", "-S", "mkdir", "-S", "rmdir", "-S", "ptrace", "-S", "mount"],
    *["-S", "setuid", "-S", "setgid", "-S", "setns", "-S", "unshare", "-S", "init_module", "-S", "kill"],
]


class Auditd(Contender):
    """auditd in the foreground with a configuration and a log of its own; rules for the workloads' login uid only."""

    def __init__(self, name, what, rules):
        super().__init__(name, what)
        self.rules = rules
        self.before = None

    @staticmethod
    def control(*arguments):
        done = subprocess.run(["auditctl", *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise Skipped(f"auditctl {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def cpu(self):
        # What the kernel's own thread does to send the records is auditd's cost, too.
        sender = kernel_thread("kauditd")
        return super().cpu() + (cpu_seconds(sender) if sender else 0.0)

    def status(self):
        return dict(line.split(None, 1) for line in self.control("-s").splitlines() if len(line.split()) == 2)

    def start(self, root_pid):
        if not shutil.which("auditctl") or not shutil.which("auditd"):
            raise Skipped("auditd is not installed")
        self.before = None
        status = self.status()
        if status.get("pid", "0") != "0" or "No rules" not in self.control("-l"):
            raise Skipped("the audit system of this machine is in use")
        if Path(f"/proc/{root_pid}/loginuid").read_text() != str(LOGIN_UID):
            raise Skipped("the workloads cannot be given a login uid, by which rules could name them")
        self.folder = Path(tempfile.mkdtemp(prefix="nightjar-bench-"))
        os.mkdir(self.folder / "plugins.d")
        (self.folder / "auditd.conf").write_text(
            f"log_file = {self.folder}/audit.log\nlog_format = RAW\nlog_group = root\nflush = INCREMENTAL_ASYNC\n"
            f"freq = 50\nmax_log_file = 1000\nnum_logs = 0\nmax_log_file_action = IGNORE\nspace_left = 75\n"
            f"space_left_action = IGNORE\nadmin_space_left = 50\nadmin_space_left_action = IGNORE\n"
            f"disk_full_action = IGNORE\ndisk_error_action = IGNORE\nplugin_dir = {self.folder}/plugins.d\n"
        )
        for path in (self.folder / "auditd.conf", self.folder / "plugins.d"):
            path.chmod(0o750 if path.is_dir() else 0o640)
        self.before = status
        begin = time.monotonic()
        self.process = subprocess.Popen(
            ["auditd", "-n", "-s", "nochange", "-c", str(self.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: self.status().get("pid") == str(self.process.pid), self.process, 10, "auditd")
            self.control("-b", "8192")
            self.control("-a", "always,exit", "-F", "arch=b64", *self.rules, "-F", f"auid={LOGIN_UID}")
            self.control("-e", "1")
        except Skipped:
            self.stop()
            raise
        self.started = time.monotonic() - begin

    def stop(self):
        facts = {}
        if self.before:
            facts["lost"] = int(self.status().get("lost", 0)) - int(self.before.get("lost", 0))
            self.control("-e", self.before["enabled"])
            self.control("-D")
            self.control("-b", self.before["backlog_limit"])
            self.before = None
        self.end_process()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        return facts


class Bpftrace(Contender):
    name = "bpftrace"
    what = "one line that prints execs, the whole machine, thrown away"
    ready = "BEGIN { printf(\"ready\\n\"); } "
    line = "tracepoint:sched:sched_process_exec { printf(\"%d %s\\n\", pid, str(args->filename)); }"

    def start(self, root_pid):
        if not shutil.which("bpftrace"):
            raise Skipped("bpftrace is not installed")
        begin = time.monotonic()
        self.process = subprocess.Popen(
            # It wants tracefs, which may not be mounted: then in a mount namespace of its own.
            ["unshare", "--mount", "sh", "-c", TRACEFS + 'exec bpftrace -e "$1"', "sh", self.ready + self.line],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        while (said := self.process.stdout.readline()) != b"ready\n":
            if not said:
                status = self.process.wait()
                self.process = None
                raise Skipped(f"bpftrace ended with status {status}")
        self.sink = subprocess.Popen(["sh", "-c", "exec cat >/dev/null"], stdin=self.process.stdout)
        self.started = time.monotonic() - begin

    def stop(self):
        self.end_process(signal.SIGINT)
        self.sink.wait()
        return {}
