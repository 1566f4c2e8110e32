# SPDX-License-Identifier: Apache-2.0
"""Measures contenders in interleaved pairs, and prints tables."""

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.contenders import (
    EXEC_RULES,
    FULL_RULES,
    LOGIN_UID,
    Auditd,
    Bpftrace,
    Contender,
    Empty,
    Nightjar,
    Skipped,
    WholeMachine,
)

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "bench"

WORKLOADS = {
    "execl": "a program executes itself (what UnixBench's execl does; own program)",
    "spawn": "vfork, exec, exit, wait",
    "tcp": "connect, accept, one byte, close, over loopback",
    "file": "create, write, close, unlink",
    "call": "getppid: what any system call pays",
}
FIRST_GUESS = {"execl": 200, "spawn": 200, "tcp": 500, "file": 2000, "call": 100000}
BURST = 20011
CROWD = 10000
STORM = 12500  # rounds of eight events, 50,000 events a second: two seconds
STATS = Path("/proc/sys/kernel/bpf_stats_enabled")


SAID = []


def say(text=""):
    SAID.append(text)
    print(text, flush=True)


BEGIN, END = "<!-- bench/run writes from here -->", "<!-- to here -->"


def put_into(path, text):
    """Replaces what stands between the two marks of a document."""
    document = path.read_text()
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no marks {BEGIN} and {END}")
    path.write_text(f"{head}{begin}\n\n{text.strip()}\n\n{end}{tail}")


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------------------- preparations


def first_tool(*names):
    return next((path for name in names if (path := shutil.which(name))), None)


def build(folder):
    """The workloads, and the empty programs where there is a compiler for them (else None)."""
    work = folder / "work"
    subprocess.run(
        ["cc", "-O2", "-static", "-D_GNU_SOURCE", "-o", str(work), str(HERE / "work.c")], check=True
    )
    clang = first_tool("clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14", "clang")
    if not clang:
        return work, None
    multiarch = subprocess.run(["cc", "-print-multiarch"], capture_output=True, text=True).stdout.strip()
    program, loader = folder / "empty.bpf.o", folder / "empty"
    include = f"/usr/include/{multiarch}" if multiarch else "/usr/include"
    try:
        subprocess.run(
            [clang, "-target", "bpf", "-O2", "-g", "-idirafter", include, "-c", str(HERE / "empty.bpf.c"), "-o", program],
            check=True,
        )
        subprocess.run(["cc", "-O2", "-o", loader, str(HERE / "empty.c"), "-lbpf"], check=True)
    except subprocess.CalledProcessError:
        return work, None
    return work, (loader, program)


def find_agent(given):
    places = [Path(given)] if given else [ROOT / "build" / kind / "bin" / "nightjar" for kind in ("release", "ci")]
    for place in places:
        if place.exists():
            return place.resolve()
    sys.exit("bench: no agent here: run `tools/build release`, or name one with --agent")


class Launcher:
    """Runs the workloads: the root of the tree that scoped contenders watch."""

    def __init__(self, work, folder):
        def become():
            try:
                Path("/proc/self/loginuid").write_text(str(LOGIN_UID))
            except OSError:
                pass  # audit will be skipped, and says why

        self.process = subprocess.Popen(
            [str(work), "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
            preexec_fn=become,
        )
        self.pid = self.process.pid

    def run(self, name, count, copies):
        self.process.stdin.write(f"{name} {count} {copies}\n".encode())
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the workload {name} ended")
        result = json.loads(line)
        if not result.get("ok", True):
            raise RuntimeError(f"the workload {name} failed")
        return result

    def end(self):
        self.process.stdin.close()
        self.process.wait()


# ------------------------------------------------------------------------------------------------------- measuring


def calibrate(work, folder, seconds, workloads):
    """How often each workload is done so that it takes about that long."""
    launcher = Launcher(work, folder)
    counts = {}
    try:
        for name in workloads:
            took = launcher.run(name, FIRST_GUESS[name], 1)["seconds"]
            counts[name] = max(50, int(FIRST_GUESS[name] * seconds / max(took, 1e-3)))
    finally:
        launcher.end()
    return counts


def session(contender, work, folder, counts, copies_list):
    """One session of a contender: {(workload, copies): result}, and facts about it."""
    launcher = Launcher(work, folder)
    results = {}
    facts = {}
    try:
        contender.start(launcher.pid)
        try:
            for name, count in counts.items():
                for copies in copies_list:
                    before = contender.cpu()
                    result = launcher.run(name, count, copies)
                    time.sleep(0.15)  # the sensor looks every 10 ms: what waits is read
                    result["sensor"] = contender.cpu() - before
                    result["operations"] = count * copies
                    results[name, copies] = result
            facts["rss_mb"] = contender.rss()
            facts["start_s"] = contender.started
        finally:
            facts.update(contender.stop())
    finally:
        launcher.end()
    return results, facts


def measure(contenders, work, folder, counts, copies_list, rounds, budget_s=15 * 60):
    """Pairs of sessions, without and with each contender, in turn; every other pair begins with the contender."""
    pairs = {contender.name: [] for contender in contenders}
    facts = {contender.name: [] for contender in contenders}
    skipped = {}
    nothing = Contender()
    begin = time.monotonic()
    for number in range(rounds):
        # The first round is whole, however long it takes; no other begins late.
        if number and (time.monotonic() - begin) * (number + 1) / number > budget_s:
            progress(f"{number} of {rounds} rounds: the next would end too late")
            break
        for contender in contenders:
            if contender.name in skipped:
                continue
            progress(f"round {number + 1} of {rounds}: {contender.name}")
            try:
                if number % 2:
                    with_it, told = session(contender, work, folder, counts, copies_list)
                    without, _ = session(nothing, work, folder, counts, copies_list)
                else:
                    without, _ = session(nothing, work, folder, counts, copies_list)
                    with_it, told = session(contender, work, folder, counts, copies_list)
            except Skipped as why:
                skipped[contender.name] = str(why)
                progress(f"skipped: {contender.name}: {why}")
                continue
            pairs[contender.name].append((without, with_it))
            facts[contender.name].append(told)
    return pairs, facts, skipped


def cost(result):
    """CPU time of an operation, of the workload alone, in microseconds."""
    return (result["user"] + result["system"]) / result["operations"] * 1e6


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def compare(pairs, key):
    """Ratios and costs of one workload over all pairs."""
    rate = [without[key]["seconds"] / with_it[key]["seconds"] for without, with_it in pairs]
    kept = [
        cost(without[key]) / (cost(with_it[key]) + with_it[key]["sensor"] / with_it[key]["operations"] * 1e6)
        for without, with_it in pairs
        if cost(without[key]) > 0 and cost(with_it[key]) > 0
    ]
    more = [cost(with_it[key]) - cost(without[key]) for without, with_it in pairs]
    sensor = [with_it[key]["sensor"] / with_it[key]["operations"] * 1e6 for _, with_it in pairs]
    return {
        "rate": summary(rate),
        "kept": summary(kept) if kept else None,
        "more_us": summary(more),
        "sensor_us": summary(sensor),
    }


def run_count_delta(programs):
    return [p for p in programs if p.get("run_count", 0) > 0]


def kernel_times(contender, work, folder, counts, rounds):
    """Each program's own time (kernel.bpf_stats_enabled, set back), one copy: in each round the mean of its runs."""
    was = STATS.read_text()
    rows = {}
    STATS.write_text("1\n")
    try:
        for _ in range(rounds):
            _, facts = session(contender, work, folder, counts, [1])
            for program in run_count_delta(facts.get("programs", [])):
                row = rows.setdefault(program["name"], {"hook": program["hook"], "runs": 0, "each": []})
                row["runs"] += program["run_count"]
                row["each"].append(program["run_time_ns"] / program["run_count"])
    finally:
        STATS.write_text(was)
    for row in rows.values():
        row["ns"] = summary(row.pop("each"))
    return rows, facts


def held_objects(pid):
    """The BPF programs and maps that a process holds, by kind and id: what the kernel tells of their descriptors."""
    held = {}
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            facts = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        except OSError:
            continue  # closed meanwhile
        if "memlock" in facts:  # a link has its program's id, too
            kind = "map" if "map_id" in facts else "prog"
            held[kind, int(facts[f"{kind}_id"])] = {k: v.strip() for k, v in facts.items()}
    return held


def program_sizes(contender, work, folder):
    """What the kernel holds for the sensor."""
    launcher = Launcher(work, folder)
    try:
        contender.start(launcher.pid)
        try:
            held = {}
            for pid in contender.pids():
                held.update(held_objects(pid))
        finally:
            contender.stop()
    finally:
        launcher.end()
    return sizes_of(held)


def sizes_of(held):
    programs = [facts for (kind, _), facts in held.items() if kind == "prog"]
    maps = [facts for (kind, _), facts in held.items() if kind == "map"]
    memory = [sum(int(facts["memlock"]) for facts in some) / 1e6 for some in (programs, maps)]
    return {
        "programs": len(programs),
        "instructions verified": sum(int(facts.get("verified_insns", 0)) for facts in programs),
        "their memory, MB": f"{memory[0]:.1f}",
        "maps": len(maps),
        "their memory at most, MB": f"{memory[1]:.1f}",
    }


def burst(contender, work, folder):
    """BURST execs as fast as the machine can, on all CPUs: what was told, and what was lost."""
    copies = os.cpu_count()
    each = -(-BURST // copies)
    launcher = Launcher(work, folder)
    try:
        contender.start(launcher.pid)
        try:
            took = launcher.run("spawn", each, copies)["seconds"]
            time.sleep(1)
        finally:
            facts = contender.stop()
    finally:
        launcher.end()
    happened = each * copies
    told = facts.get("events", {})
    return {
        "seconds": took,
        "execs": happened,
        "told": {kind: told.get(kind, 0) for kind in ("fork", "exec", "exit")},
        "lost": facts.get("lost"),
        "bytes": facts.get("bytes", {}),
        "events": told,
    }


def storm(contender, work, folder, rounds):
    """What the agent spends on an event when 50,000 a second come: cheap calls of one process, eight kinds in turn."""
    told = []
    for _ in range(rounds):
        results, facts = session(contender, work, folder, {"storm": STORM}, [1])
        result = results["storm", 1]
        events = sum(count for kind, count in facts["events"].items() if not kind.startswith(("sensor_", "events_")))
        told.append(
            {
                "events": events,
                "rate": events / result["seconds"],
                "us": result["sensor"] / events * 1e6,
                "lost": facts["lost"],
                "suppressed": facts["suppressed"],
            }
        )
    return {
        "rounds": rounds,
        "events": sum(one["events"] for one in told),
        "rate": summary([one["rate"] for one in told]),
        "us": summary([one["us"] for one in told]),
        "lost": sum(one["lost"] for one in told),
        "suppressed": sum(one["suppressed"] for one in told),
    }


def crowd(contender, work, folder):
    """Memory with many live processes in scope."""
    launcher = Launcher(work, folder)
    try:
        made = launcher.run("crowd", CROWD, 1)["made"]
        contender.start(launcher.pid)
        try:
            launcher.run("spawn", 200, 1)
            time.sleep(0.5)
            rss = contender.rss()
            started = contender.started
        finally:
            facts = contender.stop()
    finally:
        launcher.end()
    return {"processes": made, "rss_mb": rss, "start_s": started, "told": facts.get("events", {})}


# ------------------------------------------------------------------------------------------------------- telling


def version_of(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return "absent"
    return (done.stdout or done.stderr).strip().splitlines()[0] if done.returncode == 0 else "absent"


def machine(agent):
    cpu = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    return {
        "cpu": f"{os.cpu_count()} x {cpu}",
        "memory": f"{memory} MB",
        "kernel": f"{platform.release()} {platform.machine()}",
        "load before": " ".join(f"{x:.2f}" for x in os.getloadavg()),
        "nightjar": version_of([str(agent), "version"]),
        "auditd": version_of(["auditctl", "-v"]),
        "bpftrace": version_of(["bpftrace", "--version"]),
    }


def table(head, rows):
    say("| " + " | ".join(head) + " |")
    say("|" + "|".join("---" for _ in head) + "|")
    for row in rows:
        say("| " + " | ".join(str(cell) for cell in row) + " |")
    say()


def spread(value, digits=3):
    if value is None:
        return "–"
    return f"{value['median']:.{digits}f} ({value['min']:.{digits}f} – {value['max']:.{digits}f})"


def tell(report):
    say("### Machine\n")
    table(["what", "here"], report["machine"].items())
    say("### Workloads\n")
    table(
        ["workload", "what it does", "operations", "µs each, alone", "CPU µs each"],
        [
            [name, WORKLOADS[name], count, f"{alone['seconds'] / count * 1e6:.2f}", f"{cost(alone):.2f}"]
            for name, count, alone in report["alone"]
        ],
    )
    for copies, rows in report["ratios"].items():
        say(f"### Against nothing, {copies} {'copy' if copies == '1' else 'copies'}: medians (least – most) of pairs\n")
        say("rate: share of the operations a second that is left. CPU kept: CPU time without, through CPU time with,")
        say("the sensor's own included. more: CPU µs that an operation of the workload costs more. sensor: CPU µs of the")
        say("sensor for an operation.\n")
        table(
            ["contender", "workload", "pairs", "rate", "CPU kept", "more, µs", "sensor, µs"],
            [
                [
                    row["contender"],
                    row["workload"],
                    row["pairs"],
                    spread(row["rate"]),
                    spread(row["kept"]),
                    spread(row["more_us"], 2),
                    spread(row["sensor_us"], 2),
                ]
                for row in rows
            ],
        )
    say("### Contenders\n")
    table(
        ["contender", "what", "ready after, s", "peak RSS, MB", "lost"],
        [[c["name"], c["what"], c["start"], c["rss"], c["lost"]] for c in report["contenders"]],
    )
    for name, why in report["skipped"].items():
        say(f"skipped: {name}: {why}")
    if report["skipped"]:
        say()
    for title, rows in report["programs"].items():
        say(f"### Kernel time a program: {title}\n")
        table(
            ["program", "hook", "runs", "ns a run"],
            [
                [n, r["hook"], r["runs"], spread(r["ns"], 0)]
                for n, r in sorted(rows.items(), key=lambda x: -x[1]["runs"])
            ],
        )
    if report["sizes"]:
        say("### What is loaded with everything on\n")
        table(report["sizes"].keys(), [report["sizes"].values()])
    weight = report["weight"]
    if weight:
        say("### Bytes of an event on disk (NDJSON, ECS)\n")
        table(
            ["event", "events", "bytes each", "zstd -3, bytes each"],
            [[kind, row["events"], f"{row['bytes']:.0f}", row["zstd"]] for kind, row in weight.items()],
        )
    if report["burst"]:
        b = report["burst"]
        say("### Burst, everything on, default buffers\n")
        table(
            ["execs", "seconds", "fork told", "exec told", "exit told", "lost"],
            [[b["execs"], f"{b['seconds']:.1f}", *b["told"].values(), b["lost"]]],
        )
    if report["storm"]:
        s = report["storm"]
        say("### A storm of 50,000 events a second, everything on, default limits\n")
        table(
            ["runs", "events", "events a second", "agent CPU µs per event to a file", "lost", "held back"],
            [[s["rounds"], s["events"], spread(s["rate"], 0), spread(s["us"], 2), s["lost"], s["suppressed"]]],
        )
    if report["crowd"]:
        c = report["crowd"]
        say("### Many live processes in scope\n")
        table(
            ["processes", "peak RSS, MB", "ready after, s"], [[c["processes"], f"{c['rss_mb']:.1f}", f"{c['start_s']:.2f}"]]
        )
    say(f"took {report['took_s']:.0f} s")


def event_weight(facts):
    """Bytes of each event on disk."""
    weight = {}
    for told in facts:
        for action, count in told.get("events", {}).items():
            row = weight.setdefault(action, {"events": 0, "bytes": 0})
            row["events"] += count
            row["bytes"] += told["bytes"][action]
    return {
        action: {"events": row["events"], "bytes": row["bytes"] / row["events"], "zstd": "–"}
        for action, row in sorted(weight.items())
        if row["events"] >= 20
    }


def compressed(agent, work, folder, counts):
    """The same through zstd, in blocks as large as a Kafka batch: whole events of all kinds together."""
    zstd = shutil.which("zstd")
    if not zstd:
        return None
    keep = folder / "kept.ndjson"
    launcher = Launcher(work, folder)
    process = subprocess.Popen(
        [str(agent), "run", "--scope", f"tree:{launcher.pid}", "--output", f"file:{keep}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not (keep.exists() and keep.stat().st_size) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        for name in ("spawn", "tcp", "file"):
            launcher.run(name, min(counts[name], 2000), 1)
        time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        launcher.end()
    lines = keep.read_bytes().splitlines(keepends=True)
    batch = 1 << 20
    blocks, block, size = [], [], 0
    for line in lines:
        block.append(line)
        size += len(line)
        if size >= batch:
            blocks.append(b"".join(block))
            block, size = [], 0
    if block:
        blocks.append(b"".join(block))
    begin = os.times()
    out = sum(len(subprocess.run([zstd, "-3", "-c"], input=b, capture_output=True).stdout) for b in blocks)
    end = os.times()
    raw = sum(len(b) for b in blocks)
    cpu = end.children_user + end.children_system - begin.children_user - begin.children_system
    return {
        "events": len(lines),
        "bytes": raw / len(lines),
        "zstd": f"{out / len(lines):.0f} ({cpu / (raw / 1e6) * 1e3:.1f} ms of CPU a MB)",
    }


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about two minutes: one pair each, short")
    parser.add_argument("--rounds", type=int, help="pairs of each contender (5; quick: 1)")
    parser.add_argument("--seconds", type=float, help="of each measurement, without a sensor (0.6; quick: 0.2)")
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="only these, by comma")
    parser.add_argument("--only", default="", help="contenders whose name contains this")
    parser.add_argument("--agent", help="the nightjar to measure (build/release or build/ci)")
    parser.add_argument("--docs", metavar="FILE", help="put the tables between the marks of this document, too")
    parser.add_argument("--json", metavar="FILE", help="write everything measured here, too")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.2 if options.quick else 0.6)
    options.workloads = options.workloads.split(",")
    for name in options.workloads:
        if name not in WORKLOADS:
            parser.error(f"no workload {name}: {', '.join(WORKLOADS)}")
    return options


def contenders_of(agent, empty):
    all_of_them = [Contender("nothing again", "no sensor: the noise")]
    if empty:
        all_of_them.append(Empty(*empty))
    all_of_them += [
        Nightjar("nightjar exec", "--events exec", agent, ["--events", "exec"]),
        Nightjar("nightjar", "everything", agent),
        Nightjar("nightjar, others", "everything, of other processes", agent, others=True),
        Bpftrace(),
        # Last: since audit was on once, the kernel keeps a context for each new task until it is booted anew.
        Auditd("auditd exec", "rules for execve, execveat", EXEC_RULES),
        Auditd("auditd", "rules for about what Nightjar tells", FULL_RULES),
    ]
    return all_of_them


def run(options, folder):
    begin = time.monotonic()
    agent = find_agent(options.agent)
    report = {"machine": machine(agent), "programs": {}, "sizes": {}, "weight": {}}
    report.update(burst=None, storm=None, crowd=None)
    work, empty = build(folder)
    counts = calibrate(work, folder, options.seconds, options.workloads)
    copies_list = sorted({1, os.cpu_count()})
    nothing, _ = session(Contender(), work, folder, counts, [1])
    report["alone"] = [(name, count, nothing[name, 1]) for name, count in counts.items()]
    contenders = [c for c in contenders_of(agent, empty) if options.only in c.name]
    pairs, facts, skipped = measure(contenders, work, folder, counts, copies_list, options.rounds)
    if not empty:
        skipped["empty programs"] = "no clang for BPF, or no libbpf-dev"
    report["skipped"] = skipped
    report["ratios"] = {
        str(copies): [
            {"contender": c.name, "workload": w, "pairs": len(pairs[c.name]), **compare(pairs[c.name], (w, copies))}
            for c in contenders
            if pairs[c.name]
            for w in counts
        ]
        for copies in copies_list
    }
    report["contenders"] = [
        {
            "name": c.name,
            "what": c.what,
            "start": spread(summary([f["start_s"] for f in facts[c.name]]), 2),
            "rss": spread(summary([max(f["rss_mb"], f.get("peak_rss_mb", 0)) for f in facts[c.name]]), 1),
            "lost": sum(f["lost"] for f in facts[c.name]) if "lost" in facts[c.name][0] else "–",
        }
        for c in contenders
        if facts[c.name]
    ]
    whole = Nightjar("nightjar", "everything", agent)
    try:
        progress("kernel time of each program")
        if empty:
            report["programs"]["empty ones (what is counted is mostly the counting)"], _ = kernel_times(
                Empty(*empty), work, folder, counts, options.rounds
            )
        report["programs"]["everything, in scope"], told = kernel_times(whole, work, folder, counts, options.rounds)
        machine_wide = WholeMachine("nightjar, whole machine", "", agent)
        report["programs"]["everything, the whole machine"], _ = kernel_times(
            machine_wide, work, folder, counts, options.rounds
        )
        others = Nightjar("nightjar, others", "", agent, others=True)
        report["programs"]["everything, out of scope"], _ = kernel_times(others, work, folder, counts, options.rounds)
        report["sizes"] = program_sizes(whole, work, folder)
        report["weight"] = event_weight([told, *facts.get("nightjar", [])])
        if all(name in counts for name in ("spawn", "tcp", "file")) and (row := compressed(agent, work, folder, counts)):
            report["weight"]["all together, in blocks of 1 MB"] = row
        progress(f"burst of {BURST} execs")
        report["burst"] = burst(whole, work, folder)
        progress("storm of events")
        report["storm"] = storm(whole, work, folder, max(3, options.rounds))
        progress(f"{CROWD} live processes")
        report["crowd"] = crowd(whole, work, folder)
    except Skipped as why:
        skipped["nightjar alone"] = str(why)
    report["took_s"] = time.monotonic() - begin
    return report


def main():
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("bench: must be root: sensors load programs into the kernel")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that everything is stopped
    folder = Path(tempfile.mkdtemp(prefix="nightjar-bench-"))
    try:
        report = run(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tell(report)
    if options.docs:
        put_into(Path(options.docs), "\n".join(SAID))
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1, default=str) + "\n")
    return 0
