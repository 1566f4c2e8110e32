#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds and runs every test and counts: gtest binaries, Python tests, lint, sanitizers, fuzz targets, virtual machines.

`./test` calls it. A test's name is GROUP/SUITE.TEST. The last line is `N passed, N failed, N skipped`.
"""

import argparse
import fnmatch
import glob
import json
import os
import platform
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

# The whole run must end within the hour on two cores; each step gets at most what is left of it.
BUDGET_S = 75 * 60
BINARY_LIMIT_S = 12 * 60
BUILD_LIMIT_S = 15 * 60
FUZZ_S = 10

# Which group a gtest binary's tests belong to, and whether they load BPF programs into the running kernel.
GROUPS = {
    "unit_tests": ("unit", False),
    "loader_unit_tests": ("loader", False),
    "loader_tests": ("loader", True),
    "event_tests": ("events", True),
    "cli_tests": ("cli", True),
    "atlas_tests": ("atlas", True),
}
SANITIZED = ["unit_tests", "loader_unit_tests"]
THREADED = ["loader_threads"]  # with ThreadSanitizer; loads programs
# What the groups that need no build are called: a FILTER that begins with one of these skips building.
UNBUILT = ("lint", "python", "asan", "tsan", "fuzz")

OUTPUT_LINES = 60  # of a failure; the rest is cut from the middle


@dataclass
class Outcome:
    name: str
    status: str
    seconds: float = 0.0
    reason: str = ""  # of a skip
    output: str = ""  # of a failure
    reproduce: str = ""


# ---------------------------------------------------------------------------------------------------------- choosing


class Filter:
    """Part of a name, or a pattern for a whole name (with or without its group)."""

    def __init__(self, text=""):
        self.text = text
        self.is_pattern = any(c in text for c in "*?[")

    def matches(self, name):
        if self.is_pattern:
            return fnmatch.fnmatchcase(name, self.text) or fnmatch.fnmatchcase(name, "*/" + self.text)
        return self.text in name

    def excludes_group(self, group):
        """Sure that no name in the group matches, before its names are known."""
        head, slash, _ = self.text.partition("/")
        known = {g for g, _ in GROUPS.values()} | set(UNBUILT) | {"vm"}
        return bool(slash) and head in known and head != group

    def inner(self, group):
        """The part after the group's name, for runners that know nothing of groups."""
        head, slash, rest = self.text.partition("/")
        if slash and head == group:
            return "" if rest == "*" else rest
        return "" if self.text == group else self.text


# ---------------------------------------------------------------------------------------------------------- reporting


class Report:
    def __init__(self, verbose=False, stream=None):
        self.outcomes = []
        self.verbose = verbose
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()
        self.times = []  # (group, seconds, passed, failed, skipped)
        self.mark = (0, 0.0, "")
        self.interrupted = False

    def say(self, line=""):
        self.clear()
        print(line, file=self.stream, flush=True)

    def clear(self):
        if self.live:
            self.stream.write("\r\x1b[K")

    def status(self, line):
        """What is happening now; only on a terminal, where the next line overwrites it."""
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write("\r\x1b[K" + line[:width])
            self.stream.flush()

    def begin(self, group):
        self.mark = (len(self.outcomes), time.monotonic(), group)
        self.say(f"== {group}")

    def end(self):
        first, started, group = self.mark
        seconds = time.monotonic() - started
        passed, failed, skipped = count(self.outcomes[first:])
        self.times.append((group, seconds, passed, failed, skipped))
        self.say(f"   {passed} passed, {failed} failed, {skipped} skipped in {seconds:.1f} s")

    def add(self, outcome):
        self.outcomes.append(outcome)
        if outcome.status == FAILED:
            self.say(f"FAILED   {outcome.name}")
            for line in shorten(outcome.output).splitlines():
                self.say("    " + line)
            if outcome.reproduce:
                self.say("    reproduce: " + outcome.reproduce)
        elif self.verbose:
            reason = f": {outcome.reason}" if outcome.reason else ""
            self.say(f"{outcome.status:8} {outcome.name} ({outcome.seconds:.2f} s){reason}")

    def finish(self):
        """Returns the exit status."""
        self.say()
        self.say(f"{'group':28} {'time':>8} {'passed':>8} {'failed':>7} {'skipped':>7}")
        for group, seconds, passed, failed, skipped in self.times:
            self.say(f"{group:28} {seconds:6.1f} s {passed:8} {failed:7} {skipped:7}")
        for outcome in self.outcomes:
            if outcome.status == SKIPPED:
                self.say(f"skipped: {outcome.name}: {outcome.reason or 'no reason given'}")
        for outcome in self.outcomes:
            if outcome.status == FAILED:
                self.say(f"failed:  {outcome.name}" + (f"    {outcome.reproduce}" if outcome.reproduce else ""))
        passed, failed, skipped = count(self.outcomes)
        if not self.outcomes and not self.interrupted:
            self.say("no test has a name that matches")
        self.say(f"{passed} passed, {failed} failed, {skipped} skipped")
        return 0 if self.outcomes and not failed else 1


def count(outcomes):
    return tuple(sum(1 for o in outcomes if o.status == status) for status in (PASSED, FAILED, SKIPPED))


def shorten(text, lines=OUTPUT_LINES):
    all_lines = text.strip("\n").splitlines()
    if len(all_lines) <= lines:
        return "\n".join(all_lines)
    head = lines // 3
    tail = lines - head
    return "\n".join(all_lines[:head] + [f"... ({len(all_lines) - lines} lines omitted)"] + all_lines[-tail:])


# ---------------------------------------------------------------------------------------------------------- processes


@dataclass
class Finished:
    status: int  # negative: the signal that ended it, as subprocess has it
    output: str
    timed_out: bool = False

    def how(self):
        if self.timed_out:
            return "did not end in time"
        if self.status < 0:
            try:
                return f"ended by {signal.Signals(-self.status).name}"
            except ValueError:
                return f"ended by signal {-self.status}"
        return f"ended with exit status {self.status}"


def run_process(command, limit_s, on_line=None, env=None, stderr=subprocess.STDOUT):
    """Runs a command in a process group of its own, and ends that group when the time is over.

    A child of the command that keeps stdout open after its end does not keep us waiting.
    """
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", **(env or {}))
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )
    output = bytearray()
    seen = 0  # bytes of output already given to on_line
    timed_out = False
    deadline = time.monotonic() + limit_s
    grace = None  # when to stop reading after the end of the command itself
    try:
        with selectors.DefaultSelector() as selector:
            os.set_blocking(process.stdout.fileno(), False)
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                data = b""
                if selector.select(timeout=0.1):
                    data = os.read(process.stdout.fileno(), 1 << 16)
                    if not data:
                        break
                    output += data
                    while on_line and (end := output.find(b"\n", seen)) >= 0:
                        on_line(output[seen:end].decode("utf-8", "replace"))
                        seen = end + 1
                now = time.monotonic()
                if grace is None and process.poll() is not None:
                    grace = now + 1
                if not timed_out and grace is None and now > deadline:
                    timed_out = True
                    os.killpg(process.pid, signal.SIGKILL)
                if grace is not None and now > grace and not data:
                    break
        status = process.wait()
    except BaseException:
        # Interrupted, most likely: leave nothing running behind.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        raise
    finally:
        process.stdout.close()
    return Finished(status, output.decode("utf-8", "replace"), timed_out)


# ---------------------------------------------------------------------------------------------------------- gtest


def parse_gtest_list(text):
    """Names from --gtest_list_tests: suites at column 0 with a dot at the end, tests indented, comments after #."""
    names = []
    suite = None
    for line in text.splitlines():
        word = line.split("#")[0].rstrip()
        if not word:
            continue
        if not line.startswith(" "):
            suite = word if word.endswith(".") and " " not in word else None
        elif suite:
            names.append(suite + word.strip())
    return names


MARK = re.compile(r"\[ +(?P<kind>RUN|OK|FAILED|SKIPPED) +\] (?P<name>[^\s,]+)")


@dataclass
class GtestProgress:
    """What a gtest binary has printed so far. A test may print without a newline, so marks are searched in lines."""

    status: dict = field(default_factory=dict)
    output: dict = field(default_factory=dict)
    current: str = ""

    def feed(self, line):
        """Returns the name of the test that began with this line, if one did."""
        found = MARK.search(line)
        kind = found["kind"] if found else ""
        if kind == "RUN":
            self.current = found["name"]
            self.output[self.current] = []
            return self.current
        # The summary at the end repeats the marks, when no test is running; a test may print what looks like a mark.
        if kind and found["name"] == self.current:
            if found.start() > 0:
                self.output[self.current].append(line[: found.start()])
            self.status[self.current] = {"OK": PASSED, "FAILED": FAILED, "SKIPPED": SKIPPED}[kind]
            self.current = ""
        elif self.current:
            self.output[self.current].append(line)
        return ""

    def text(self, name):
        return "\n".join(self.output.get(name, []))


def parse_gtest_json(text):
    """{name: (status, seconds, failure text)} from gtest's own report."""
    results = {}
    for suite in json.loads(text).get("testsuites", []):
        for test in suite.get("testsuite", []):
            name = f"{suite['name']}.{test['name']}"
            seconds = float(test.get("time", "0s").rstrip("s") or 0)
            failure = "\n".join(f.get("failure", "") for f in test.get("failures", []))
            if test.get("result") == "SUPPRESSED" or test.get("status") == "NOTRUN":
                results[name] = (None, 0.0, "")
            elif test.get("failures"):
                results[name] = (FAILED, seconds, failure)
            elif test.get("result") == "SKIPPED":
                results[name] = (SKIPPED, seconds, "")
            else:
                results[name] = (PASSED, seconds, "")
    return results


def skip_reason(output):
    """gtest prints `FILE:LINE: Skipped` and then what the test gave as its reason."""
    lines = output.splitlines()
    for index, line in enumerate(lines):
        if line.rstrip().endswith(": Skipped"):
            return " ".join(part.strip() for part in lines[index + 1 :] if part.strip())
    return ""


def gtest_outcomes(group, names, progress, report_json, finished, reproduce):
    """One outcome for each name that was to run, whatever became of the binary."""
    try:
        results = parse_gtest_json(report_json) if report_json else {}
    except (ValueError, KeyError, TypeError):
        results = {}
    outcomes = []
    # A binary that died wrote no report: then what it printed is all there is.
    culprit = progress.current
    for name in names:
        text = progress.text(name)
        status, seconds, failure = results.get(name, (progress.status.get(name), 0.0, ""))
        outcome = Outcome(f"{group}/{name}", status or FAILED, seconds, reproduce=reproduce(name))
        if ".DISABLED_" in name or name.startswith("DISABLED_"):
            outcome.status, outcome.reason = SKIPPED, "disabled in its source"
        elif status == SKIPPED:
            outcome.reason = skip_reason(text)
        elif status == FAILED:
            outcome.output = text or failure
        elif status is None and name == culprit:
            outcome.output = f"{text}\nthe test program {finished.how()} in this test"
        elif status is None:
            outcome.output = f"not run: the test program {finished.how()}" + (f" in {culprit}" if culprit else "")
        outcomes.append(outcome)
    if finished.status != 0 and not any(o.status == FAILED for o in outcomes):
        # For instance a leak that the sanitizer found at exit, or a crash in a destructor.
        outcomes.append(
            Outcome(
                f"{group}/(exit status)",
                FAILED,
                output=f"{finished.output}\nevery test passed, but the test program {finished.how()}",
                reproduce=reproduce("*"),
            )
        )
    return outcomes


# ---------------------------------------------------------------------------------------------------------- lint

SOURCE_NAMES = ("*.c", "*.h", "*.cpp", "*.hpp", "*.S", "*.py", "*.sh", "*.cmake", "CMakeLists.txt", "*.[1-8]")
FORMATTED = ("*.c", "*.h", "*.cpp", "*.hpp")
KERNEL_LICENCE = "GPL-2.0-only OR BSD-2-Clause"
LICENCE = "Apache-2.0"


def source_files():
    """What git has or would add; without git, everything but what is built."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout.split(b"\0")
        files = [os.fsdecode(name) for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        files = []
        for folder, folders, names in os.walk(ROOT):
            folders[:] = [name for name in folders if name not in (".git", "build", ".cache", "__pycache__")]
            files += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names]
    return sorted(name for name in files if (ROOT / name).is_file())


def shebang(path):
    try:
        with open(path, "rb") as file:
            first = file.readline(200)
    except OSError:
        return ""
    return first[2:].decode("utf-8", "replace").strip() if first.startswith(b"#!") else ""


def any_name(name, patterns):
    return any(fnmatch.fnmatch(os.path.basename(name), pattern) for pattern in patterns)


def licence_problem(name, head):
    """What is wrong with the licence line in the first lines of a source file, or an empty text."""
    found = re.search(r"SPDX-License-Identifier: ([^*\n]*?)\s*(?:\*/)?\s*$", head, re.MULTILINE)
    if not found:
        return "no SPDX-License-Identifier in its first five lines"
    # A BPF program outside bpf/ is a test's: it also needs a licence that the kernel accepts.
    kernel_side = name.startswith(("bpf/", "wire/")) and name.endswith((".c", ".h"))
    if kernel_side or name.endswith((".bpf.c", ".bpf.h")):
        allowed = (KERNEL_LICENCE,)
    else:
        allowed = (LICENCE,)
    return "" if found[1] in allowed else f"{found[1]}, but this part's licence is {allowed[0]}"


def places_by_file(text):
    places = {}
    for file, line in re.findall(r"^(\S+?):(\d+):\d+: error:", text, re.MULTILINE):
        places.setdefault(file, []).append(line)
    return [f"{file}:{lines[0]}: not formatted, {len(lines)} places" for file, lines in places.items()]


class Lint:
    """Each check is one test. None of them changes a file."""

    def __init__(self, limit_s):
        self.files = source_files()
        self.limit_s = limit_s

    def checks(self):
        scripts = [f for f in self.files if re.search(r"\b(ba|da)?sh\b", shebang(ROOT / f)) or f.endswith(".sh")]
        formatted = [f for f in self.files if any_name(f, FORMATTED)]
        manuals = [f for f in self.files if f.startswith("docs/man/") and re.search(r"\.[1-8]$", f)]
        return [
            ("shell.shellcheck", lambda: self.tool(["shellcheck", "-x"], scripts)),
            ("format.clang_format", lambda: self.format(formatted)),
            ("spelling.codespell", lambda: self.tool(["codespell"], self.prose())),
            ("manual.mandoc", lambda: self.tool(["mandoc", "-T", "lint", "-W", "warning"], manuals)),
            ("licence.spdx_lines", self.spdx),
            ("licence.reuse", self.reuse),
        ]

    def prose(self):
        return [f for f in self.files if not f.startswith("LICENSES/") and "/corpus/" not in f]

    def tool(self, command, files):
        if not shutil.which(command[0]):
            return SKIPPED, f"no {command[0]} here"
        if not files:
            return SKIPPED, "nothing to check"
        finished = run_process(command + files, self.limit_s)
        if finished.status == 0:
            return PASSED, ""
        return FAILED, finished.output or finished.how()

    def format(self, files):
        status, text = self.tool(["clang-format-19", "--dry-run", "-Werror"], files)
        if status == FAILED:
            # Three lines for each place are too many to read: the first place of each file, and how many there are.
            text = "\n".join(places_by_file(text)) or text
            text += "\ntools/lint --fix-format FILE... puts them right"
        return status, text

    def spdx(self):
        problems = []
        for name in self.files:
            if not any_name(name, SOURCE_NAMES) and not shebang(ROOT / name):
                continue
            with open(ROOT / name, encoding="utf-8", errors="replace") as file:
                head = "".join(file.readline() for _ in range(5))
            problem = licence_problem(name, head)
            if problem:
                problems.append(f"{name}: {problem}")
        return (FAILED, "\n".join(problems)) if problems else (PASSED, "")

    def reuse(self):
        # Without git it would look at what is built, too.
        if not (ROOT / ".git").exists():
            return SKIPPED, "not a git checkout"
        return self.tool(["reuse"], ["lint"])


# ---------------------------------------------------------------------------------------------------------- Python tests


class Recorder(unittest.TestResult):
    """Writes one JSON line for each test."""

    def __init__(self, module, tests=()):
        super().__init__()
        self.module = module
        self.tests = tests  # those that are to run
        self.started = None  # when the test that runs now began
        self.outcome = None

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()
        self.outcome = (PASSED, "")

    def stopTest(self, test):
        super().stopTest(test)
        self.write(test, time.monotonic() - self.started)
        self.started = None

    def write(self, test, seconds):
        status, text = self.outcome
        name = f"{self.module}.{type(test).__name__}.{getattr(test, '_testMethodName', test)}"
        print(json.dumps({"name": name, "status": status, "text": text, "seconds": seconds}), flush=True)

    def fail(self, test, error, part=""):
        text = part + self._exc_info_to_string(error, test)
        if self.started is None:  # a fixture of the class or module failed: no test was started
            self.outcome = (FAILED, text)
            self.write(test, 0.0)
            return
        status, before = self.outcome
        self.outcome = (FAILED, f"{before}\n{text}" if status == FAILED else text)

    def addError(self, test, err):
        self.fail(test, err)

    def addFailure(self, test, err):
        self.fail(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.fail(test, err, f"{subtest._subDescription()}\n")

    def addSkip(self, test, reason):
        if self.started is None:  # a fixture skips: none of its tests is started, and each is skipped
            self.outcome = (SKIPPED, reason)
            place = re.search(r"\((.*)\)", str(test))[1]  # setUpClass (MODULE.CLASS), setUpModule (MODULE)
            for one in self.tests:
                if f"{unittest.util.strclass(type(one))}.".startswith(f"{place}."):
                    self.write(one, 0.0)
        elif self.outcome[0] != FAILED:  # a part that failed before one that skips
            self.outcome = (SKIPPED, reason)

    def addUnexpectedSuccess(self, test):
        self.outcome = (FAILED, "expected to fail, and did not")


def tests_in(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_in(item)
        else:
            yield item


def python_worker(path, only):
    """Runs the tests of one file, in a process of its own; `only` is a list of names, or empty for a list of them."""
    path = Path(path).resolve()
    sys.path.insert(0, str(path.parent))
    suite = unittest.TestLoader().loadTestsFromName(path.stem)
    names = {f"{path.stem}.{type(t).__name__}.{t._testMethodName}": t for t in tests_in(suite)}
    if only is None:
        print(json.dumps(list(names)))
        return 0
    chosen = [test for name, test in names.items() if name in only]
    unittest.TestSuite(chosen).run(Recorder(path.stem, chosen))
    return 0


# ---------------------------------------------------------------------------------------------------------- the runner


class Runner:
    def __init__(self, options, report):
        self.filter = Filter(options.filter)
        self.no_vm = options.no_vm
        self.list = options.list
        self.report = report
        self.deadline = time.monotonic() + BUDGET_S
        self.built = True  # build/ci, as far as it was tried

    def left(self, limit_s):
        return max(1.0, min(limit_s, self.deadline - time.monotonic()))

    def show_only(self, names):
        """With --list: prints the names that match, and nothing is run."""
        if self.list:
            for name in names:
                self.report.say(name)
        return self.list

    def run_all(self):
        self.native()
        self.python()
        self.lint()
        self.sanitized()
        self.threaded()
        self.fuzz()
        self.machines()

    # -- build

    def build(self, name, *targets):
        """A build that fails is a failed test; one that works is none."""
        if not self.list:
            self.report.say(f"   building build/{name}")
        started = time.monotonic()
        finished = run_process([ROOT / "tools/build", name, *targets], self.left(BUILD_LIMIT_S))
        if finished.status == 0:
            return True
        self.report.add(
            Outcome(
                f"build/{name}",
                FAILED,
                time.monotonic() - started,
                output=finished.output + f"\n{finished.how()}",
                reproduce=shlex.join(["tools/build", name, *targets]),
            )
        )
        return False

    # -- gtest

    def native(self):
        if all(self.filter.excludes_group(group) for group in {g for g, _ in GROUPS.values()} | {"vm"}):
            return
        self.report.begin("build")
        self.built = self.build("ci")
        self.report.end()
        if not self.built:
            return
        for path in self.binaries("ci"):
            group, needs_root = GROUPS.get(path.name, (re.sub("_tests$", "", path.name), False))
            if not self.filter.excludes_group(group):
                self.gtest(path, group, needs_root)

    def binaries(self, configuration):
        folder = ROOT / "build" / configuration / "tests"
        found = [p for p in folder.glob("*_tests") if p.is_file() and os.access(p, os.X_OK)]
        order = list(GROUPS)
        return sorted(found, key=lambda p: (order.index(p.name) if p.name in order else len(order), p.name))

    def gtest_names(self, path, group):
        """The binary's tests that the filter selects, and whether that is all of them; None if it cannot say."""
        listed = run_process([path, "--gtest_list_tests"], self.left(60), stderr=subprocess.DEVNULL)
        names = parse_gtest_list(listed.output)
        if listed.status != 0 or not names:
            self.report.add(
                Outcome(
                    f"{group}/({path.name})",
                    FAILED,
                    output=f"{listed.output}\n--gtest_list_tests names no tests: {listed.how()}",
                    reproduce=f"{path.relative_to(ROOT)} --gtest_list_tests",
                )
            )
            return None, False
        chosen = [name for name in names if self.filter.matches(f"{group}/{name}")]
        return chosen, len(chosen) == len(names)

    def gtest(self, path, group, needs_root, env=None, prefix=()):
        names, everything = self.gtest_names(path, group)
        if not names or self.show_only(f"{group}/{name}" for name in names):
            return
        self.report.begin(f"{group} ({path.name})")
        if needs_root and os.geteuid() != 0:
            for name in names:
                self.report.add(Outcome(f"{group}/{name}", SKIPPED, reason="needs root"))
            self.report.end()
            return
        progress = GtestProgress()

        def on_line(line):
            name = progress.feed(line)
            if name:
                self.report.status(f"   {group}/{name}")

        with tempfile.TemporaryDirectory() as folder:
            json_file = Path(folder) / "report.json"
            command = [*prefix, path, f"--gtest_output=json:{json_file}", "--gtest_color=no"]
            if not everything:
                # A file, for the list may be longer than an argument can be.
                flags = Path(folder) / "flags"
                flags.write_text("--gtest_filter=" + ":".join(names) + "\n", encoding="utf-8")
                command.append(f"--gtest_flagfile={flags}")
            environment = {"NIGHTJAR_BIN": str(ROOT / "build/ci/bin/nightjar"), **(env or {})}
            finished = run_process(command, self.left(BINARY_LIMIT_S), on_line, environment)
            report_json = json_file.read_text(encoding="utf-8", errors="replace") if json_file.exists() else ""

        def reproduce(name):
            words = ["NIGHTJAR_BIN=build/ci/bin/nightjar", *prefix, str(path.relative_to(ROOT))]
            if name != "*":
                words.append(f"--gtest_filter={name}")
            return shlex.join(words)

        for outcome in gtest_outcomes(group, names, progress, report_json, finished, reproduce):
            self.report.add(outcome)
        self.report.end()

    def sanitized(self):
        group = "asan"
        if self.filter.excludes_group(group):
            return
        # The same tests as in the ordinary build, whose binaries know their names: no build when none is wanted.
        ordinary = [p for p in self.binaries("ci") if p.name in SANITIZED]
        if ordinary and self.filter.text and not self.filter.text.startswith(group):
            chosen = [n for p in ordinary for n in (self.gtest_names(p, group)[0] or [])]
            if not chosen:
                return
        if self.list and not (ROOT / "build/asan/tests").exists():
            return
        self.report.begin("build (asan)")
        built = self.list or self.build("asan", *SANITIZED)
        self.report.end()
        if not built:
            return
        env = {"UBSAN_OPTIONS": "print_stacktrace=1", "ASAN_OPTIONS": "detect_stack_use_after_return=1"}
        for path in self.binaries("asan"):
            if path.name in SANITIZED:
                self.gtest(path, group, False, env)

    def threaded(self):
        """The tests with several threads, built with ThreadSanitizer."""
        group = "tsan"
        if self.filter.text and not self.filter.text.startswith(group):
            return
        folder = ROOT / "build" / group / "tests"
        if self.list and not folder.exists():
            return
        if os.geteuid() != 0 and not self.list:
            self.report.begin(group)
            self.report.add(Outcome(f"{group}/*", SKIPPED, reason="needs root"))
            self.report.end()
            return
        self.report.begin(f"build ({group})")
        built = self.list or self.build(group, *THREADED)
        self.report.end()
        # g++ 12's runtime does not know the places where kernels with 32 random bits map memory.
        fixed = ["setarch", platform.machine(), "--addr-no-randomize"]
        for name in THREADED if built else ():
            self.gtest(folder / name, group, True, {"TSAN_OPTIONS": "halt_on_error=0"}, fixed)

    # -- Python

    def python(self):
        group = "python"
        if self.filter.excludes_group(group):
            return
        files = [ROOT / f for f in source_files() if re.fullmatch(r"(tests|tools)/(.*/)?test_\w+\.py", f)]
        worker = [sys.executable, ROOT / "tests/run.py", "--python-worker"]
        chosen = {}
        for path in files:
            listed = run_process([*worker, path], self.left(60), stderr=subprocess.DEVNULL)
            try:
                names = json.loads(listed.output)
            except ValueError:
                names = [f"{path.stem}.(import)"]
            names = [name for name in names if self.filter.matches(f"{group}/{name}")]
            if names:
                chosen[path] = names
        if not chosen or self.show_only(f"{group}/{n}" for names in chosen.values() for n in names):
            return
        self.report.begin(group)
        for path, names in chosen.items():
            self.report.status(f"   {path.relative_to(ROOT)}")
            finished = run_process([*worker, path, *names], self.left(BINARY_LIMIT_S))
            for outcome in python_outcomes(group, names, finished):
                self.report.add(outcome)
        self.report.end()

    # -- lint

    def lint(self):
        group = "lint"
        if self.filter.excludes_group(group):
            return
        checks = [(n, c) for n, c in Lint(self.left(300)).checks() if self.filter.matches(f"{group}/{n}")]
        if not checks or self.show_only(f"{group}/{n}" for n, _ in checks):
            return
        self.report.begin(group)
        for name, check in checks:
            self.report.status(f"   {group}/{name}")
            started = time.monotonic()
            status, text = check()
            self.report.add(
                Outcome(
                    f"{group}/{name}",
                    status,
                    time.monotonic() - started,
                    reason=text if status == SKIPPED else "",
                    output=text if status == FAILED else "",
                    reproduce=f"./test {group}/{name}",
                )
            )
        self.report.end()

    # -- fuzz

    def fuzz(self):
        group = "fuzz"
        if self.filter.excludes_group(group):
            return
        targets = sorted(p.stem for p in (ROOT / "tests/fuzz").glob("fuzz_*.cpp"))
        targets = [t for t in targets if self.filter.matches(f"{group}/{t}")]
        if not targets or self.show_only(f"{group}/{t}" for t in targets):
            return
        self.report.begin(group)
        has_engine = any(
            shutil.which(f"clang++-{version}")
            and glob.glob(f"/usr/lib/llvm-{version}/lib/clang/*/lib/*/libclang_rt.fuzzer*.a")
            for version in range(14, 20)
        )
        if not has_engine:
            for target in targets:
                self.report.add(Outcome(f"{group}/{target}", SKIPPED, reason="no clang++ with libFuzzer here"))
        elif self.build("fuzz", *targets):
            for target in targets:
                self.report.status(f"   {group}/{target} for {FUZZ_S} s")
                self.report.add(self.fuzz_one(target))
        self.report.end()

    def fuzz_one(self, target):
        started = time.monotonic()
        found = [p for p in (ROOT / "build/fuzz").rglob(target) if p.is_file() and os.access(p, os.X_OK)]
        if not found:
            return Outcome(f"fuzz/{target}", FAILED, output=f"the build made no program named {target}")
        program = found[0]
        # What it finds of new inputs stays in the build folder; the committed corpus is only read.
        grown = ROOT / "build/fuzz/corpus" / target
        grown.mkdir(parents=True, exist_ok=True)
        corpora = [grown]
        for name in (target, re.sub("^fuzz_", "", target)):
            if (ROOT / "tests/fuzz/corpus" / name).is_dir():
                corpora.append(ROOT / "tests/fuzz/corpus" / name)
        prefix = ROOT / "build/fuzz" / f"{target}-"
        limits = [f"-max_total_time={FUZZ_S}", "-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={prefix}"]
        finished = run_process([program, *limits, *corpora], self.left(FUZZ_S * 6))
        if finished.status == 0:
            return Outcome(f"fuzz/{target}", PASSED, time.monotonic() - started)
        artifact = re.search(r"Test unit written to (\S+)", finished.output)
        words = [str(program.relative_to(ROOT)), os.path.relpath(artifact[1], ROOT) if artifact else ""]
        return Outcome(
            f"fuzz/{target}",
            FAILED,
            time.monotonic() - started,
            output=f"{finished.output}\n{finished.how()}",
            reproduce=shlex.join(word for word in words if word),
        )

    # -- virtual machines

    def machines(self):
        group = "vm"
        if self.filter.excludes_group(group):
            return
        script = ROOT / "tests/vm/run.py"
        if self.no_vm:
            if not self.list and self.filter.matches("vm/matrix"):
                self.report.add(Outcome("vm/matrix", SKIPPED, reason="--no-vm"))
            return
        if not self.built:
            # What an earlier build left there is not what is to be tested.
            self.report.add(Outcome("vm/matrix", SKIPPED, reason="build/ci failed"))
            return
        if not script.exists():
            self.report.add(Outcome("vm/matrix", FAILED, output="there is no tests/vm/run.py"))
            return
        if self.list:
            self.report.say("vm/... (tests/vm/run.py has the names)")
            return
        self.report.begin(group)
        with tempfile.TemporaryDirectory() as folder:
            json_file = Path(folder) / "vm.json"
            command = [sys.executable, script, "--json", json_file]
            if self.filter.inner(group):
                command += ["--filter", self.filter.inner(group)]
            # Its table and progress are for people: shown as they come.
            finished = run_process(command, self.left(BUDGET_S), lambda line: self.report.say("   " + line))
            text = json_file.read_text(encoding="utf-8", errors="replace") if json_file.exists() else ""
        reproduce = shlex.join([str(w) for w in ["tests/vm/run.py", *command[4:]]])
        for outcome in vm_outcomes(text, finished, reproduce):
            self.report.add(outcome)
        self.report.end()


def python_outcomes(group, names, finished):
    outcomes = []
    seen = set()
    rest = []
    for line in finished.output.splitlines():
        try:
            record = json.loads(line)
            name, status, text = record["name"], record["status"], record["text"]
        except (ValueError, KeyError, TypeError):
            rest.append(line)  # what the tests themselves printed
            continue
        seen.add(name)
        outcomes.append(
            Outcome(
                f"{group}/{name}",
                status,
                record.get("seconds", 0.0),
                reason=text if status == SKIPPED else "",
                output=text if status == FAILED else "",
                reproduce=f"./test {group}/{name}",
            )
        )
    for name in names:
        if name not in seen:
            text = "\n".join(rest) + f"\nnot run: {finished.how()}"
            outcomes.append(Outcome(f"{group}/{name}", FAILED, output=text, reproduce=f"./test {group}/{name}"))
    return outcomes


def vm_outcomes(text, finished, reproduce):
    """From the matrix runner's report: {"passed": N, "failed": N, "skipped": N, "tests": [{"name", "status", ...}]}.

    `tests` may be absent or hold only the failures and skips: what the totals have beyond it is counted without a name.
    """
    try:
        document = json.loads(text)
        totals = {status: int(document[status]) for status in (PASSED, FAILED, SKIPPED)}
    except (ValueError, KeyError, TypeError):
        why = f"{finished.output}\nthe matrix runner wrote no report: {finished.how()}"
        return [Outcome("vm/matrix", FAILED, output=why, reproduce=reproduce)]
    outcomes = []
    for test in document.get("tests", []):
        status = test.get("status")
        if status not in totals:
            continue
        outcomes.append(
            Outcome(
                "vm/" + str(test.get("name", "?")),
                status,
                float(test.get("seconds") or 0),
                reason=str(test.get("reason") or ""),
                output=str(test.get("output") or test.get("reason") or ""),
                reproduce=str(test.get("reproduce") or reproduce),
            )
        )
    for status, total in totals.items():
        named = sum(1 for o in outcomes if o.status == status)
        for number in range(named, total):
            reason = "see the table above"
            outcomes.append(Outcome(f"vm/({number + 1})", status, reason=reason, output=reason, reproduce=reproduce))
    if finished.status != 0 and not totals[FAILED]:
        why = f"its report has no failure, but the matrix runner {finished.how()}"
        outcomes.append(Outcome("vm/matrix", FAILED, output=why, reproduce=reproduce))
    return outcomes


def main(arguments):
    if arguments[:1] == ["--python-worker"]:
        return python_worker(arguments[1], arguments[2:] or None)
    parser = argparse.ArgumentParser(description="Builds and runs the tests. See ./test --help.")
    parser.add_argument("filter", nargs="?", default="", metavar="FILTER")
    parser.add_argument("--no-vm", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args(arguments)
    report = Report(options.verbose)
    runner = Runner(options, report)
    try:
        runner.run_all()
        return 0 if options.list else report.finish()
    except KeyboardInterrupt:
        report.interrupted = True
        report.say("interrupted: what follows is not everything")
        report.finish()
        return 130
    except BrokenPipeError:
        # Nobody reads any more (./test --list | head). Python's own flush at exit would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A shell starts what it sends to the background with SIGINT ignored; the programs under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
