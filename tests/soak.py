#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the sensor for a while over processes, files and connections that come and go, and measures it.

    sudo tests/soak.py                        30 minutes
    sudo tests/soak.py --seconds 20           as in CI
    sudo tests/soak.py --bin build/ci/bin/nightjar -- --program-tier tracepoint

Prints memory and descriptors with their slopes, and for each event what happened, was sent and was lost. Fails when
sent + lost is not what happened, when the forks that the sensor saw are not those that were made, when an event was
lost, or when memory or descriptors grow. Only what this script starts is looked at (--scope tree:PID).
"""

import argparse
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

# Memory of an agent in its first minutes still grows: the table of processes fills, those that ended lately included.
WARM_UP_S = 120
# A page now and then is noise; a leak of one small string an event is hundreds of KiB a minute here.
RSS_SLOPE_AT_MOST = 64.0  # KiB a minute
RSS_NOISE = 512.0  # KiB over the whole time
# What filling up takes: all that a run can be held to that is over before.
RSS_GROWTH_AT_MOST = 16 * 1024.0  # KiB


def slope(points):
    """Least squares: units a minute."""
    n = len(points)
    mean_t = sum(t for t, _ in points) / n
    mean_v = sum(v for _, v in points) / n
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    return 60 * sum((t - mean_t) * (v - mean_v) for t, v in points) / spread if spread else 0.0


def churn(folder, rate, until):
    """Forks, files and connections, about `rate` of each a second. Returns how many children were made."""
    listener = socket.create_server(("127.0.0.1", 0))
    made = 0
    step = 0
    begin = time.monotonic()
    while time.monotonic() < until:
        pid = os.posix_spawn("/bin/true", ["true", str(step)], {})
        os.waitpid(pid, 0)
        made += 1
        path = f"{folder}/{step % 7}"
        with open(path, "w", encoding="utf-8") as file:
            file.write("x")
        os.rename(path, path + ".new")
        os.unlink(path + ".new")
        with socket.create_connection(listener.getsockname()) as here, listener.accept()[0] as there:
            there.send(b"x")
            here.recv(1)
        step += 1
        time.sleep(max(0.0, begin + step / rate - time.monotonic()))
    return made


def sample(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    rss = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return float(rss), len(os.listdir(f"/proc/{pid}/fd"))


def start_churn(folder, rate, seconds):
    """A child that waits for a byte, then churns and writes how many children it made."""
    go_read, go_write = os.pipe()
    made_read, made_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go_write)
        os.read(go_read, 1)
        made = churn(folder, rate, time.monotonic() + seconds)
        os.write(made_write, str(made).encode())
        os._exit(0)
    os.close(go_read)
    os.close(made_write)
    return pid, go_write, made_read


def last_event(path, action):
    for line in reversed(pathlib.Path(path).read_text(encoding="utf-8").splitlines()):
        event = json.loads(line)
        if event["event"]["action"] == action:
            return event
    return None


def soak(options, folder):
    events = f"{folder}/events"
    work = f"{folder}/work"
    os.mkdir(work)
    pid, go, made = start_churn(work, options.rate, options.seconds)
    command = [options.bin, "run", "--scope", f"tree:{pid}", "--events", "process,file,network", "--stats-interval", "10"]
    command += ["--output", f"file:{events}?rotate-size=16M&keep=1", *options.more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as agent:
        while not os.path.exists(events) or os.path.getsize(events) == 0:
            if agent.poll() is not None:
                return f"the sensor did not start: {agent.stderr.read().strip()}", None
            time.sleep(0.05)
        os.write(go, b"g")
        begin = time.monotonic()
        points = []
        every = max(0.2, options.seconds / 300)
        while time.monotonic() - begin < options.seconds:
            time.sleep(every)
            points.append((time.monotonic() - begin, *sample(agent.pid)))
        count = int(os.read(made, 32))
        os.waitpid(pid, 0)
        time.sleep(1)
        agent.send_signal(signal.SIGTERM)
        agent.wait(60)
        told = agent.stderr.read()
    if agent.returncode != 0:
        return f"the sensor ended with {agent.returncode}: {told}", None
    stopped = last_event(events, "sensor_stopped")
    if stopped is None:
        return "there is no sensor_stopped", None
    return None, (points, count, stopped["nightjar"]["stats"]["events"])


def judge(points, made, events, seconds):
    problems = []
    warm = seconds >= 2 * WARM_UP_S
    kept = [point for point in points if not warm or point[0] >= WARM_UP_S]
    rss = slope([(t, r) for t, r, _ in kept])
    descriptors = slope([(t, d) for t, _, d in kept])
    print(f"memory      {kept[0][1]:.0f} -> {kept[-1][1]:.0f} KiB, slope {rss:+.1f} KiB a minute")
    print(f"descriptors {kept[0][2]} -> {kept[-1][2]}, slope {descriptors:+.2f} a minute")
    growth = kept[-1][1] - kept[0][1]
    if not warm:
        print(f"            (shorter than {2 * WARM_UP_S} s: the slope tells nothing yet)")
        if growth > RSS_GROWTH_AT_MOST:
            problems.append(f"memory grew by {growth:.0f} KiB")
    elif rss > RSS_SLOPE_AT_MOST and growth > RSS_NOISE:
        problems.append(f"memory grows: {rss:.1f} KiB a minute")
    if kept[-1][2] > kept[0][2]:
        problems.append("descriptors grow")
    print(f"{'event':<14}{'happened':>12}{'sent':>12}{'lost':>8}")
    for name, counts in events.items():
        if "happened" not in counts:
            continue
        happened, sent, lost = (int(counts[key]) for key in ("happened", "sent", "lost"))
        print(f"{name:<14}{happened:>12}{sent:>12}{lost:>8}")
        if sent + lost != happened:
            problems.append(f"{name}: {sent} sent + {lost} lost is not {happened}")
        if lost:
            problems.append(f"{name}: {lost} lost")
    forks = int(events["fork"]["happened"])
    print(f"children made {made}, forks seen {forks}")
    if forks != made:
        problems.append(f"{made} children were made, {forks} forks seen")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--rate", type=float, default=101, help="of each a second (default %(default)s)")
    parser.add_argument("--bin", default=os.environ.get("NIGHTJAR_BIN", "build/ci/bin/nightjar"))
    parser.add_argument("more", nargs="*", help="behind --: options for the sensor")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: needs root")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        failed, measured = soak(options, folder)
        if failed:
            print(f"soak: {failed}", file=sys.stderr)
            return 1
        problems = judge(*measured, options.seconds)
    for problem in problems:
        print(f"soak: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
