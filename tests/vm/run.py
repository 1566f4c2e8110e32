#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the built tests on the kernels of kernels.ini, each booted once in QEMU, and prints one table.

In each guest the event tests run once for each program tier and transport, the loader's tests once, and
`nightjar doctor`, whose output is kept. Results, consoles and outputs are in BUILD/vm/KERNEL/.
"""

import argparse
import concurrent.futures
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import fetch  # noqa: E402
import guest  # noqa: E402
import kernels as kernel_list  # noqa: E402


def load_test_runner():
    """tests/run.py, which knows how to read gtest; its name is also ours."""
    spec = importlib.util.spec_from_file_location("nightjar_tests_run", HERE.parent / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


tests = load_test_runner()
Outcome, PASSED, FAILED, SKIPPED = tests.Outcome, tests.PASSED, tests.FAILED, tests.SKIPPED

# What runs when nothing else is asked for. The tier `tracepoint` runs on the machine itself.
DEFAULT_CONFIGS = ("doctor", "loader", "btf/ringbuf", "btf/perf", "kprobe/ringbuf", "kprobe/perf", "legacy/perf")
# .../atlas: as on a kernel without BTF, with layouts from the pack that the agent holds. First: it begins like another.
EVENT_CONFIGS = (
    "kprobe/ringbuf/atlas", "btf/ringbuf", "btf/perf", "kprobe/ringbuf", "kprobe/perf", "tracepoint/ringbuf",
    "legacy/perf/atlas", "legacy/perf",
)
CONFIGS = ("doctor", "loader", *EVENT_CONFIGS)
# What 4.14 lacks and 5.10 has, the types aside.
LACKS_OF_4_14 = (
    "ring_buffer,raw_tracepoint,global_data,large_programs,bounded_loops,probe_read_kernel,mapped_arrays,boot_clock,"
    "task_storage"
)
EXEC_KERNEL = "6.12"
TIMEOUT_S = 600  # 170 s are usual on an idle machine
FAILURE_LINES = 40


# ------------------------------------------------------------------------------------------------------- what to run


@dataclass
class Step:
    """One script in a guest."""

    config: str
    limit: int
    script: str
    names: list = field(default_factory=list)  # the tests that must be heard of


def gtest_filter(text):
    """gtest's own syntax; a plain piece of a name matches every name that has it."""
    return text if not text or re.search(r"[*?:]|^-", text) else f"*{text}*"


def split_filter(text, kernels):
    """`6.12/btf/ringbuf/Exec.argv`, as the tests are called in the report: (kernel, config, rest)."""
    parts = text.split("/")
    kernel = config = ""
    if parts[0] in kernels:
        kernel = parts.pop(0)
        for known in CONFIGS:
            if parts[: known.count("/") + 1] == known.split("/"):
                config, parts = known, parts[known.count("/") + 1 :]
                break
    rest = "/".join(parts)
    return kernel, config, "" if rest == "*" else rest


def list_tests(binary, pattern):
    """The names that a gtest binary would run, from itself, here."""
    command = [str(binary), "--gtest_list_tests"] + ([f"--gtest_filter={pattern}"] if pattern else [])
    listed = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False
    )
    text = listed.stdout.decode("utf-8", "replace")
    if listed.returncode != 0:
        raise RuntimeError(f"{binary} --gtest_list_tests: exit status {listed.returncode}\n{text}")
    return tests.parse_gtest_list(text)


def gtest_script(number, binary, pattern, settings):
    settings = {"NIGHTJAR_BIN": "/nightjar/bin/nightjar", "NIGHTJAR_TEST_SCALE": "vm",
                "NIGHTJAR_TEST_WHOLE_MACHINE": "1", **settings}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
    command = [f"/nightjar/tests/{binary}", f"--gtest_output=json:/out/{number}/report.json", "--gtest_color=no"]
    if pattern:
        command.append(f"--gtest_filter={pattern}")
    return f"#!/bin/sh\n{exports}cd /nightjar/tests\nexec {shlex.join(command)}\n"


def core_pattern(file="core.txt"):
    """The event tests that run on every kernel; --full runs them all. legacy.txt: those that its tier can pass."""
    lines = (Path(__file__).parent / file).read_text(encoding="utf-8").splitlines()
    return ":".join(line for line in lines if line and not line.startswith("#"))


def make_steps(configs, names, pattern, limit, event_pattern=None):
    """names: {binary: [test]}. A configuration with no test to run is left out."""
    steps = []
    for config in configs:
        number = len(steps)
        if config == "doctor":
            if not pattern:
                steps.append(Step(config, min(limit, 120), "#!/bin/sh\nexec /nightjar/bin/nightjar doctor\n"))
        elif config == "loader":
            if names.get("loader_tests"):
                script = gtest_script(number, "loader_tests", pattern, {})
                steps.append(Step(config, limit, script, names["loader_tests"]))
        elif names.get("event_tests"):
            tier, transport, *types = config.split("/")
            settings = {"NIGHTJAR_TEST_TIER": tier, "NIGHTJAR_TEST_TRANSPORT": transport}
            without = (["btf"] if types else []) + ([LACKS_OF_4_14] if tier == "legacy" else [])
            if without:
                settings["NIGHTJAR_TEST_WITHOUT"] = ",".join(without)
            wanted, there = event_pattern or pattern, names["event_tests"]
            if tier == "legacy":
                wanted, there = pattern or core_pattern("legacy.txt"), names["legacy"]
            steps.append(Step(config, limit, gtest_script(number, "event_tests", wanted, settings), there))
    return steps


# ------------------------------------------------------------------------------------------------------ what came out


def lacking(reason):
    """The feature in `kernel lacks FEATURE: why`, spelt as in kernels.ini; empty for other reasons."""
    found = re.match(r"\s*(?:the |this )?kernel lacks ([\w /-]+?)\s*(?:[:;,.(]|$)", reason, re.I)
    return re.sub(r"[\s/-]+", "_", found[1].strip().lower()) if found else ""


def judge_skip(outcome, kernel):
    """A skip is a failure on a kernel that has what the test missed."""
    feature = lacking(outcome.reason)
    if outcome.status != SKIPPED or not feature or feature in kernel.lacks:
        return
    outcome.status = FAILED
    if feature in kernel.features:
        outcome.output = f"skipped ({outcome.reason}), but kernel {kernel.id} has {feature}: see kernels.ini"
    else:
        outcome.output = f"skipped ({outcome.reason}), but kernels.ini does not say whether {kernel.id} has {feature}"
    outcome.reason = ""


def tail(text, lines=25):
    return "\n".join(text.strip().splitlines()[-lines:])


def end_of_console(text):
    """What tells most: from the first sign of trouble, or else the last lines."""
    lines = text.strip().splitlines()
    for number, line in enumerate(lines):
        if re.search(r"Kernel panic|BUG:|Oops|detected stall|Out of memory|unable to handle|not syncing", line):
            return "\n".join(lines[max(0, number - 3) : number + 22])
    return "\n".join(lines[-25:])


def finished_of(step, result, problem):
    """The end of a step as tests/run.py has it for a process."""
    if result.status is None:
        how = tests.Finished(-1, result.output)
        how.how = lambda: f"did not end: {problem}"
        return how
    if result.seconds >= step.limit and result.status in (124, 137):
        how = tests.Finished(-1, result.output, timed_out=True)
        how.how = lambda: f"did not end in {step.limit} s"
        return how
    # A shell's 128 + signal.
    return tests.Finished(128 - result.status if result.status > 128 else result.status, result.output)


def step_outcomes(kernel, step, result, problem, console, reproduce):
    """One outcome for each test of one configuration, whatever became of it."""
    group = f"{kernel.id}/{step.config}"
    if result.status is None:
        state = "it was running" if result.begun else "it had not begun"
        problem = f"{problem} ({state})"
    finished = finished_of(step, result, problem)
    if step.config == "doctor":
        good = finished.status == 0 and result.output.strip()
        text = "" if good else f"{tail(result.output)}\nnightjar doctor: {finished.how()}"
        outcomes = [
            Outcome(f"{group}/doctor", PASSED if good else FAILED, result.seconds, output=text, reproduce=reproduce(""))
        ]
    else:
        progress = tests.GtestProgress()
        for line in result.output.splitlines():
            progress.feed(line)
        report = result.files.get("report.json", b"").decode("utf-8", "replace")
        outcomes = tests.gtest_outcomes(group, step.names, progress, report, finished, reproduce)
        for outcome in outcomes:
            judge_skip(outcome, kernel)
    if result.status is None:
        # Once, with the test that was running if one was.
        failed = [o for o in outcomes if o.status == FAILED]
        running = [o for o in failed if o.output.endswith("in this test")]
        for outcome in (running or failed)[:1]:
            outcome.output += "\nthe console:\n" + end_of_console(console)
    return outcomes


def add_kernel_trouble(outcomes, group, result, reproduce):
    """An oops, a warning or a stall in the kernel is a failure, even if all tests passed."""
    log = result.files.get("dmesg")
    if log:
        text = log.decode("utf-8", "replace")
        output = "the kernel reported trouble while these tests ran:\n" + tests.shorten(text, FAILURE_LINES)
        outcomes.append(Outcome(f"{group}/(kernel log)", FAILED, output=output, reproduce=reproduce("")))


def totals_text(outcomes):
    passed, failed, skipped = tests.count(outcomes)
    return f"{passed}/{failed}/{skipped}"


def table(kernels, configs, outcomes, notes=None):
    """outcomes: {(kernel, config): [Outcome]}. A cell is passed/failed/skipped."""
    notes = notes or {}
    rows = [["kernel", *configs, "seconds"]]
    for kernel in kernels:
        cells = [totals_text(outcomes[kernel, c]) if (kernel, c) in outcomes else "-" for c in configs]
        rows.append([kernel, *cells, notes.get(kernel, "-")])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])])
        for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    return lines


def skip_lines(outcomes):
    """One line for each skip; the same test skipped for the same reason in several places is one line."""
    groups = {}
    for (kernel, config), some in outcomes.items():
        for outcome in some:
            if outcome.status == SKIPPED:
                test = outcome.name.split(f"{kernel}/{config}/", 1)[-1]
                reason = outcome.reason or "no reason given"
                groups.setdefault((reason, test), {}).setdefault(kernel, []).append(config)
    merged = {}
    for (reason, test), where in groups.items():
        key = (reason, tuple((kernel, tuple(configs)) for kernel, configs in where.items()))
        merged.setdefault(key, []).append(test)
    lines = []
    for (reason, where), names in merged.items():
        places = {}
        for kernel, configs in where:
            places.setdefault(configs, []).append(kernel)
        text = "; ".join(f"{' '.join(ids)} {' '.join(configs)}" for configs, ids in places.items())
        lines.append(f"{text}: {', '.join(names)}: skipped: {reason}")
    return lines


def write_json(path, outcomes, notes=None):
    every = [(kernel, config, o) for (kernel, config), some in outcomes.items() for o in some]
    passed, failed, skipped = tests.count([o for _, _, o in every])
    results = []
    for (kernel, config), some in outcomes.items():
        counts = dict(zip((PASSED, FAILED, SKIPPED), tests.count(some)))
        results.append({"kernel": kernel, "config": config, **counts})
    document = {
        "passed": passed,
        "failed": failed,
        "skipped": skipped,
        "results": results,
        "seconds": notes or {},
        "tests": [
            {
                "name": o.name,
                "kernel": kernel,
                "config": config,
                "status": o.status,
                "seconds": o.seconds,
                "reason": o.reason,
                "output": o.output,
                "reproduce": o.reproduce,
            }
            for kernel, config, o in every
        ],
    }
    Path(path).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------ running


def machine_for(kernel, options):
    return guest.Machine(options.smp, options.memory, f"{kernel.options} {options.kernel_options}".strip())


class Matrix:
    def __init__(self, options, pattern, say):
        self.options = options
        self.pattern = pattern
        self.say = say
        self.outcomes = {}
        self.seconds = {}
        self.lock = threading.Lock()

    def reproduce(self, kernel, config):
        """A function that makes the command for a test."""
        words = ["tests/vm/run.py"]
        if self.options.build != DEFAULT_BUILD:
            words += ["--build", str(self.options.build)]
        words += ["--kernel", kernel, "--config", config]

        def command(name):
            return shlex.join(words + (["--filter", name] if name and name != "*" else []))

        return command

    def add(self, kernel, config, outcomes):
        with self.lock:
            self.outcomes.setdefault((kernel, config), []).extend(outcomes)

    def kernel(self, kernel, folder, steps, base, work):
        if self.options.own_configs:
            steps = [step for step in steps if step.config in kernel.configs]
        record = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
        kept = Path(self.options.results) / kernel.id
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        raw = Path(work) / kernel.id
        raw.mkdir()

        def on_frame(frame, frames):
            kind, number = frame
            if kind == "READY":
                self.say(f"{kernel.id:6} {frames.release} is up after {time.monotonic() - started:.1f} s")
            elif kind == "END":
                self.step(kernel, steps[number], frames.steps[number], raw, number, "", "")

        started = time.monotonic()
        machine = machine_for(kernel, self.options)
        scripts = [(step.limit, step.script) for step in steps]
        result = guest.boot(folder, record["load"], base, scripts, raw, machine, on_frame=on_frame)
        self.seconds[kernel.id] = f"{result.seconds:.0f}"
        for step, got in zip(steps, result.frames.steps):
            if got.status is None:
                problem = result.problem or "no result came"
                self.step(kernel, step, got, raw, 0, problem, result.console)
            self.keep(kept, step, got)
        (kept / "console.txt").write_text(result.console, encoding="utf-8")

    def step(self, kernel, step, got, raw, number, problem, console):
        if not problem:  # the output's last bytes are in the file by now: the guest wrote them before the frame
            output = (raw / "output").read_bytes()
            got.output = guest.split_output(output, number + 1)[number]
        reproduce = self.reproduce(kernel.id, step.config)
        outcomes = step_outcomes(kernel, step, got, problem, console, reproduce)
        add_kernel_trouble(outcomes, f"{kernel.id}/{step.config}", got, reproduce)
        self.add(kernel.id, step.config, outcomes)
        passed, failed, skipped = tests.count(outcomes)
        text = f"{passed} passed, {failed} failed, {skipped} skipped in {got.seconds:.1f} s"
        self.say(f"{kernel.id:6} {step.config:18} {text}" + (f": {problem}" if problem else ""))
        if "left" in got.files:
            left = got.files["left"].decode("utf-8", "replace").strip().splitlines()
            self.say(f"{kernel.id:6} {step.config:18} note: still running at the end: {'; '.join(left[:5])}")

    def keep(self, folder, step, got):
        name = step.config.replace("/", "-")
        (folder / f"{name}.txt").write_text(got.output, encoding="utf-8")
        if "report.json" in got.files:
            (folder / f"{name}.json").write_bytes(got.files["report.json"])
        if "dmesg" in got.files:
            (folder / f"{name}.dmesg").write_bytes(got.files["dmesg"])

    def run(self, wanted, folders, problems, steps, base, work):
        for kernel in wanted:
            if kernel.id in problems:
                for step in steps:
                    outcome = Outcome(f"{kernel.id}/{step.config}/(image)", FAILED)
                    outcome.output = f"no image of this kernel: {problems[kernel.id]}"
                    outcome.reproduce = f"tests/vm/fetch.py --kernel {kernel.id}"
                    self.add(kernel.id, step.config, [outcome])
        ready = [k for k in wanted if k.id in folders]
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            running = {pool.submit(self.kernel, k, folders[k.id], steps, base, work): k for k in ready}
            for future in self.completed(running):
                error = future.exception()
                if error:
                    kernel = running[future]
                    outcome = Outcome(f"{kernel.id}/(runner)", FAILED, output=f"{type(error).__name__}: {error}")
                    self.add(kernel.id, steps[0].config, [outcome])

    @staticmethod
    def completed(running):
        """The futures as they end. When we are interrupted, so are the guests: leaving the pool waits for them."""
        try:
            yield from concurrent.futures.as_completed(running)
        except BaseException:
            for future in running:
                future.cancel()
            guest.stop_all()
            raise

    def report(self, wanted, configs):
        every = [o for some in self.outcomes.values() for o in some]
        for outcome in every:
            if outcome.status == FAILED:
                self.say(f"FAILED   {outcome.name}")
                for line in tests.shorten(outcome.output, FAILURE_LINES).splitlines():
                    self.say("    " + line)
                self.say(f"    reproduce: {outcome.reproduce}")
        self.say("")
        self.say("passed/failed/skipped")
        used = [c for c in configs if any(config == c for _, config in self.outcomes)]
        for line in table([k.id for k in wanted], used, self.outcomes, self.seconds):
            self.say(line)
        for line in skip_lines(self.outcomes):
            self.say(line)
        return tests.count(every)


def execute(command, wanted, folders, problems, options, work):
    """--exec: one command in each guest, its output as it comes."""
    status = 0
    base = Path(work) / "base"
    guest.write_base(base, options.build if options.build.is_dir() else None, options.busybox, options.add)
    for kernel in wanted:
        if kernel.id in problems:
            print(f"{kernel.id}: no image: {problems[kernel.id]}", file=sys.stderr)
            status = 1
            continue
        if len(wanted) > 1:
            print(f"== {kernel.id}", flush=True)
        folder = Path(work) / kernel.id
        folder.mkdir()
        script = (
            "#!/bin/sh\nexport NIGHTJAR_BIN=/nightjar/bin/nightjar NIGHTJAR_TEST_SCALE=vm\n"
            f"cd /nightjar/tests 2>/dev/null || cd /root\n{command}\n"
        )
        record = json.loads((folders[kernel.id] / "kernel.json").read_text(encoding="utf-8"))

        def show(data):
            sys.stdout.buffer.write(re.sub(rb"\n?\036(BEGIN|END) \d+\n", b"", data))
            sys.stdout.flush()

        result = guest.boot(
            folders[kernel.id],
            record["load"],
            base,
            [(options.timeout, script)],
            folder,
            machine_for(kernel, options),
            on_output=show,
        )
        step = result.frames.steps[0]
        if "dmesg" in step.files:
            print("the kernel reported trouble:\n" + step.files["dmesg"].decode("utf-8", "replace"), file=sys.stderr)
        if step.status is None:
            print(f"{kernel.id}: {result.problem}; the console:\n{end_of_console(result.console)}", file=sys.stderr)
            status = 1
        elif step.status:
            print(f"{kernel.id}: exit status {step.status} after {step.seconds:.1f} s", file=sys.stderr)
            status = max(status, step.status)
    return status


DEFAULT_BUILD = Path("build/ci")


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--kernel", action="append", metavar="ID", help="only this one; repeatable")
    add("--config", action="append", metavar="CONFIG", help=f"only this one; repeatable: {' '.join(CONFIGS)}")
    add("--full", action="store_true", help="every event test, not only those of core.txt (about 5 minutes a configuration)")
    add("--filter", default="", metavar="GTEST_FILTER", help="gtest's syntax, or part of a name, or KERNEL/CONFIG/NAME")
    add("--exec", metavar="CMD", help=f"run a shell command in a guest ({EXEC_KERNEL} if no --kernel)")
    add("--shell-command", dest="exec", help=argparse.SUPPRESS)
    add("--build", type=Path, default=DEFAULT_BUILD, metavar="DIR", help="whose bin/ and tests/ go in: %(default)s")
    add("--add", action="append", default=[], metavar="PATH:GUESTPATH", help="another file or folder for the guest")
    add("--list", action="store_true", help="print the kernels, configurations and tests")
    add("--json", metavar="FILE", help="write totals and results there")
    add("--results", type=Path, metavar="DIR", help="where consoles and outputs go (BUILD/vm)")
    add("--timeout", type=int, default=TIMEOUT_S, metavar="S", help="for one configuration in the guest: %(default)s")
    add("--jobs", type=int, default=0, metavar="N", help="guests at the same time, at most 2")
    add("--smp", type=int, default=2, metavar="N", help="processors of a guest: %(default)s")
    add("--memory", type=int, default=1024, metavar="MB", help="memory of a guest: %(default)s")
    add("--kernel-options", default="", metavar="TEXT", help="more of the guest's kernel command line")
    add("--refresh", action="store_true", help="look for newer packages of the kernels that are cached")
    add("--keep", action="store_true", help="keep the scratch folder with the initramfs")
    options = parser.parse_args(argv)
    extra = []
    for spec in options.add:
        here, colon, there = spec.partition(":")
        if not colon or not there.startswith("/") or not os.path.exists(here):
            parser.error(f"--add {spec}: give it as PATH:/GUEST/PATH, with a path that exists")
        extra.append((here, there))
    options.add = extra
    for config in options.config or []:
        if config not in CONFIGS:
            parser.error(f"no configuration {config}; there are {' '.join(CONFIGS)}")
    # A relative folder is looked for here, then in the repository, whichever folder we are called from.
    if not options.build.is_absolute() and not options.build.exists():
        options.build_path = ROOT / options.build
    else:
        options.build_path = options.build
    options.jobs = min(2, options.jobs) if options.jobs > 0 else default_jobs(options.smp)
    return parser, options


def default_jobs(smp):
    return 2 if (os.cpu_count() or 1) >= 2 * smp else 1


def missing_tools(options):
    """What this machine lacks to start guests."""
    missing = []
    if not shutil.which(guest.QEMU):
        missing.append(f"{guest.QEMU} (Debian: qemu-system-x86)")
    options.busybox = shutil.which("busybox")
    if not options.busybox:
        missing.append("busybox (Debian: busybox-static)")
    elif guest.libraries(options.busybox):
        missing.append("a busybox that is linked statically (Debian: busybox-static)")
    return missing


def main(argv):
    parser, options = arguments(argv)
    known = kernel_list.load()
    kernel, config, text = split_filter(options.filter, known)
    pattern = gtest_filter(text)
    event_pattern = pattern or ("" if options.full else core_pattern())
    ids = options.kernel or ([kernel] if kernel else [])
    configs = options.config or ([config] if config else list(DEFAULT_CONFIGS))
    # Whoever names a kernel or a configuration gets all of it; else each kernel runs what kernels.ini says.
    options.own_configs = not (options.full or ids or options.config or config)
    unknown = [i for i in ids if i not in known]
    if unknown:
        parser.error(f"no kernel {' '.join(unknown)} in kernels.ini; there are {' '.join(known)}")
    if not ids and options.exec:
        ids = [EXEC_KERNEL]
    wanted = [known[i] for i in dict.fromkeys(ids)] if ids else [k for k in known.values() if k.matrix or (options.full and k.image == k.id)]

    repository_build, options.build = options.build, options.build_path
    display = argparse.Namespace(**{**vars(options), "build": repository_build})
    options.results = display.results = options.results or options.build / "vm"

    lock = threading.Lock()

    def say(line):
        with lock:
            print(line, flush=True)

    def conclude(outcomes, status):
        if options.json:
            write_json(options.json, outcomes)
        return status

    def whole_matrix(status, text):
        """One outcome for everything, when nothing could be run."""
        say(f"{status}: {text}")
        outcome = Outcome("matrix", status, reason=text, output=text if status == FAILED else "")
        return conclude({("", ""): [outcome]}, 1 if status == FAILED else 0)

    names = {}
    if not options.exec:
        for binary in ("event_tests", "loader_tests"):
            path = options.build / "tests" / binary
            needed = any((c == "loader") == (binary == "loader_tests") for c in configs if c != "doctor")
            if not needed:
                continue
            if not path.is_file():
                return whole_matrix(FAILED, f"no {binary} in {repository_build}/tests: build it first (tools/build ci)")
            try:
                names[binary] = list_tests(path, event_pattern if binary == "event_tests" else pattern)
                if binary == "event_tests" and any(c.startswith("legacy/") for c in configs):
                    names["legacy"] = list_tests(path, pattern or core_pattern("legacy.txt"))
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                return whole_matrix(FAILED, str(error))
    steps = make_steps(configs, names, pattern, options.timeout, event_pattern)
    if options.list:
        cache = fetch.cache_folder()
        for k in known.values():
            record = fetch.cached(k, cache)
            state = f"{record['package']} {record['version']}" if record else "not fetched"
            say(f"{k.id:6} {state}" + ("" if k.matrix else " (only with --kernel)"))
        for step in steps:
            say(f"{step.config}: {' '.join(step.names)}")
        return 0
    if not steps and not options.exec:
        say(f"no test in the guests has a name that matches {options.filter}")
        return conclude({}, 0)

    if platform.machine() != "x86_64":
        return whole_matrix(SKIPPED, f"the guests are x86_64, this machine is {platform.machine()}")
    missing = missing_tools(options)
    if missing:
        return whole_matrix(FAILED, "not installed here: " + "; ".join(missing))
    try:
        folders, problems = fetch.ensure(wanted, options.refresh, say)
    except fetch.Unavailable as why:
        return whole_matrix(SKIPPED, str(why))

    work = tempfile.mkdtemp(prefix="nightjar-vm.")
    try:
        if options.exec:
            return execute(options.exec, wanted, folders, problems, options, work)
        base = Path(work) / "base"
        size = guest.write_base(base, options.build, options.busybox, options.add)
        tests_each = sum(len(step.names) or 1 for step in steps)
        say(
            f"{len(wanted)} kernels, {len(steps)} configurations, {tests_each} tests on each, "
            f"{options.jobs} guests at a time, {size / 1e6:.0f} MB of initramfs"
        )
        started = time.monotonic()
        matrix = Matrix(display, pattern, say)
        matrix.run(wanted, folders, problems, steps, base, work)
        passed, failed, skipped = matrix.report(wanted, configs)
        say(f"{passed} passed, {failed} failed, {skipped} skipped in {time.monotonic() - started:.0f} s")
        if options.json:
            write_json(options.json, matrix.outcomes, matrix.seconds)
        return 1 if failed else 0
    finally:
        if options.keep:
            print(f"kept: {work}", file=sys.stderr)
        else:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
