# SPDX-License-Identifier: Apache-2.0
"""Tests of tests/run.py: a runner that miscounts hides every other failure."""

import io
import json
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import run


def gtest_json(*tests):
    suites = {}
    for suite, name, result, failures in tests:
        suites.setdefault(suite, []).append(
            {"name": name, "status": "RUN", "result": result, "time": "0.25s"}
            | ({"failures": [{"failure": f} for f in failures]} if failures else {})
        )
    return json.dumps({"testsuites": [{"name": s, "testsuite": t} for s, t in suites.items()]})


def outcomes(names, printed="", report="", status=0, timed_out=False):
    progress = run.GtestProgress()
    for line in printed.splitlines():
        progress.feed(line)
    finished = run.Finished(status, printed, timed_out)
    return run.gtest_outcomes("unit", names, progress, report, finished, lambda name: f"repeat {name}")


class FilterTest(unittest.TestCase):
    def test_empty_matches_everything(self):
        self.assertTrue(run.Filter("").matches("unit/A.b"))

    def test_text_matches_any_part(self):
        self.assertTrue(run.Filter("oup.fa").matches("loader/ProgramGroup.falls_back"))
        self.assertFalse(run.Filter("oup.fb").matches("loader/ProgramGroup.falls_back"))

    def test_pattern_matches_the_whole_name_with_or_without_group(self):
        self.assertTrue(run.Filter("unit/A.*").matches("unit/A.b"))
        self.assertTrue(run.Filter("A.*").matches("unit/A.b"))
        self.assertFalse(run.Filter("A.?").matches("unit/A.bc"))
        self.assertTrue(run.Filter("All/Kinds.*/1").matches("unit/All/Kinds.encodes/1"))

    def test_only_a_known_group_excludes_others(self):
        self.assertTrue(run.Filter("lint/").excludes_group("unit"))
        self.assertFalse(run.Filter("lint/").excludes_group("lint"))
        self.assertFalse(run.Filter("All/Kinds").excludes_group("unit"))
        self.assertFalse(run.Filter("lint").excludes_group("unit"))

    def test_inner_is_what_a_runner_without_groups_is_given(self):
        self.assertEqual(run.Filter("vm/exec").inner("vm"), "exec")
        for everything in ("vm", "vm/", "vm/*", ""):
            self.assertEqual(run.Filter(everything).inner("vm"), "")
        self.assertEqual(run.Filter("exec").inner("vm"), "exec")


class GtestListTest(unittest.TestCase):
    def test_suites_tests_and_parameters(self):
        text = (
            "Running main() from gtest_main.cc\n"
            "Error.\n  has_causes\n  DISABLED_slow\n"
            "All/Kinds.  # TypeParam = int\n  encodes/0  # GetParam() = 5\n  encodes/1  # GetParam() = 7\n"
        )
        self.assertEqual(
            run.parse_gtest_list(text),
            ["Error.has_causes", "Error.DISABLED_slow", "All/Kinds.encodes/0", "All/Kinds.encodes/1"],
        )

    def test_nothing(self):
        self.assertEqual(run.parse_gtest_list(""), [])


class GtestProgressTest(unittest.TestCase):
    def test_output_belongs_to_the_test_that_runs(self):
        progress = run.GtestProgress()
        begun = [
            progress.feed(line)
            for line in [
                "[==========] Running 2 tests from 1 test suite.",
                "[ RUN      ] A.one",
                "hello",
                "no newline[       OK ] A.one (3 ms)",
                "[ RUN      ] A.two",
                "a.cpp:3: Failure",
                "[  FAILED  ] A.two, where GetParam() = 4 (0 ms)",
                "[  FAILED  ] 1 test, listed below:",
                "[  FAILED  ] A.two, where GetParam() = 4",
            ]
        ]
        self.assertEqual([b for b in begun if b], ["A.one", "A.two"])
        self.assertEqual(progress.status, {"A.one": "passed", "A.two": "failed"})
        self.assertEqual(progress.text("A.one"), "hello\nno newline")
        self.assertEqual(progress.text("A.two"), "a.cpp:3: Failure")
        self.assertEqual(progress.current, "")

    def test_a_mark_of_another_test_is_output(self):
        progress = run.GtestProgress()
        progress.feed("[ RUN      ] A.one")
        progress.feed("[       OK ] B.other (0 ms)")
        self.assertEqual(progress.status, {})
        self.assertEqual(progress.current, "A.one")

    def test_skip_reason(self):
        self.assertEqual(run.skip_reason("a.cpp:9: Skipped\nno kprobes\n on this kernel\n\n"), "no kprobes on this kernel")
        self.assertEqual(run.skip_reason("nothing"), "")


class GtestOutcomesTest(unittest.TestCase):
    def test_report_decides(self):
        printed = (
            "[ RUN      ] A.one\n[       OK ] A.one (0 ms)\n"
            "[ RUN      ] A.two\na.cpp:3: Failure\n[  FAILED  ] A.two (0 ms)\n"
            "[ RUN      ] A.three\na.cpp:9: Skipped\nno ring buffer\n[  SKIPPED ] A.three (0 ms)\n"
        )
        report = gtest_json(
            ("A", "one", "COMPLETED", []), ("A", "two", "COMPLETED", ["a.cpp:3"]), ("A", "three", "SKIPPED", [])
        )
        one, two, three = outcomes(["A.one", "A.two", "A.three"], printed, report, status=1)
        self.assertEqual((one.name, one.status, one.seconds), ("unit/A.one", "passed", 0.25))
        self.assertEqual((two.status, two.output, two.reproduce), ("failed", "a.cpp:3: Failure", "repeat A.two"))
        self.assertEqual((three.status, three.reason), ("skipped", "no ring buffer"))

    def test_crash_fails_its_test_and_those_not_reached(self):
        printed = "[ RUN      ] A.one\n[       OK ] A.one (0 ms)\n[ RUN      ] A.two\nabout to fall\n"
        result = outcomes(["A.one", "A.two", "A.three"], printed, "", status=-11)
        self.assertEqual([o.status for o in result], ["passed", "failed", "failed"])
        self.assertIn("about to fall", result[1].output)
        self.assertIn("SIGSEGV in this test", result[1].output)
        self.assertIn("not run: the test program ended by SIGSEGV in A.two", result[2].output)

    def test_time_over_is_told(self):
        result = outcomes(["A.one"], "[ RUN      ] A.one\n", "", status=-9, timed_out=True)
        self.assertIn("did not end in time", result[0].output)

    def test_bad_exit_status_without_a_failed_test_fails(self):
        result = outcomes(["A.one"], "a leak", gtest_json(("A", "one", "COMPLETED", [])), status=23)
        self.assertEqual([o.status for o in result], ["passed", "failed"])
        self.assertIn("exit status 23", result[1].output)
        self.assertIn("a leak", result[1].output)

    def test_clean_exit_that_leaves_out_a_test_fails(self):
        result = outcomes(["A.one", "A.two"], "", gtest_json(("A", "one", "COMPLETED", [])), status=0)
        self.assertEqual([o.status for o in result], ["passed", "failed"])

    def test_half_a_report_is_no_report(self):
        printed = "[ RUN      ] A.one\n[       OK ] A.one (0 ms)\n"
        self.assertEqual([o.status for o in outcomes(["A.one"], printed, '{"testsuites": [{')], ["passed"])

    def test_disabled_is_skipped(self):
        result = outcomes(["A.DISABLED_one"], "", gtest_json(("A", "DISABLED_one", "SUPPRESSED", [])))
        self.assertEqual((result[0].status, result[0].reason), ("skipped", "disabled in its source"))


class MachinesTest(unittest.TestCase):
    done = run.Finished(0, "")

    def test_named_tests_and_totals(self):
        document = {
            "passed": 3,
            "failed": 1,
            "skipped": 1,
            "tests": [
                {"name": "6.1/btf/Exec.argv", "status": "failed", "output": "wrong", "reproduce": "do it"},
                {"name": "5.10/btf/Exec.env", "status": "skipped", "reason": "no task storage"},
            ],
        }
        result = run.vm_outcomes(json.dumps(document), run.Finished(1, ""), "again")
        self.assertEqual(run.count(result), (3, 1, 1))
        self.assertEqual((result[0].name, result[0].output, result[0].reproduce), ("vm/6.1/btf/Exec.argv", "wrong", "do it"))
        self.assertEqual(result[1].reason, "no task storage")

    def test_totals_alone(self):
        result = run.vm_outcomes('{"passed": 2, "failed": 0, "skipped": 1}', self.done, "again")
        self.assertEqual(run.count(result), (2, 0, 1))

    def test_no_report_is_a_failure(self):
        for text in ("", "[]", '{"passed": 1}', '{"passed": "x", "failed": 0, "skipped": 0}'):
            self.assertEqual(run.count(run.vm_outcomes(text, self.done, "again")), (0, 1, 0), text)

    def test_bad_status_without_a_failure_is_one(self):
        text = '{"passed": 2, "failed": 0, "skipped": 0}'
        self.assertEqual(run.count(run.vm_outcomes(text, run.Finished(2, ""), "again")), (2, 1, 0))


class LicenceTest(unittest.TestCase):
    def test_each_part_has_its_own(self):
        apache = "// SPDX-License-Identifier: Apache-2.0\n"
        dual = "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n"
        self.assertEqual(run.licence_problem("src/agent/main.cpp", apache), "")
        self.assertEqual(run.licence_problem("bpf/process.bpf.c", dual), "")
        self.assertEqual(run.licence_problem("wire/process.h", dual), "")
        self.assertEqual(run.licence_problem("wire/names.hpp", apache), "")
        self.assertEqual(run.licence_problem("tests/loader/two.bpf.c", dual), "")
        self.assertNotEqual(run.licence_problem("bpf/process.bpf.c", apache), "")
        self.assertNotEqual(run.licence_problem("src/agent/main.cpp", dual), "")
        self.assertIn("no SPDX", run.licence_problem("run", "#!/bin/bash\n"))


class ReportTest(unittest.TestCase):
    def finish(self, *statuses):
        stream = io.StringIO()
        report = run.Report(stream=stream)
        for number, status in enumerate(statuses):
            report.add(run.Outcome(f"unit/A.t{number}", status, reason="why", output="wrong", reproduce="again"))
        return report.finish(), stream.getvalue()

    def test_last_line_and_status(self):
        status, text = self.finish("passed", "skipped", "passed")
        self.assertEqual((status, text.splitlines()[-1]), (0, "2 passed, 0 failed, 1 skipped"))
        self.assertIn("skipped: unit/A.t1: why", text)

    def test_failure_shows_output_and_command(self):
        status, text = self.finish("passed", "failed")
        self.assertEqual((status, text.splitlines()[-1]), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertIn("    wrong\n    reproduce: again\n", text)

    def test_nothing_ran_is_a_failure(self):
        status, text = self.finish()
        self.assertEqual((status, text.splitlines()[-1]), (1, "0 passed, 0 failed, 0 skipped"))

    def test_long_output_keeps_both_ends(self):
        text = run.shorten("\n".join(f"line {n}" for n in range(100)), 9)
        self.assertEqual(text.splitlines()[0], "line 0")
        self.assertIn("(91 lines omitted)", text)
        self.assertEqual(text.splitlines()[-1], "line 99")


class ProcessTest(unittest.TestCase):
    def test_lines_and_status(self):
        lines = []
        finished = run.run_process(["sh", "-c", "echo one; printf two; exit 3"], 10, lines.append)
        self.assertEqual((finished.status, finished.output, lines), (3, "one\ntwo", ["one"]))

    def test_ends_what_takes_too_long(self):
        finished = run.run_process(["sleep", "60"], 0.2)
        self.assertTrue(finished.timed_out)
        self.assertEqual(finished.how(), "did not end in time")

    def test_does_not_wait_for_an_orphan_that_holds_stdout(self):
        started = time.monotonic()
        finished = run.run_process(["sh", "-c", "sleep 7 & echo done"], 30)
        self.assertEqual((finished.status, finished.output), (0, "done\n"))
        self.assertLess(time.monotonic() - started, 6)

    def test_invalid_utf8_is_kept_readable(self):
        finished = run.run_process([sys.executable, "-c", "import os; os.write(1, b'a\\xffb\\n')"], 10)
        self.assertEqual(finished.output, "a\ufffdb\n")


class PythonTest(unittest.TestCase):
    def test_tests_that_said_nothing_failed(self):
        line = json.dumps({"name": "m.A.one", "status": "passed", "text": "", "seconds": 0.1})
        result = run.python_outcomes("python", ["m.A.one", "m.A.two"], run.Finished(-6, f"noise\n{line}\n"))
        self.assertEqual([(o.name, o.status) for o in result], [("python/m.A.one", "passed"), ("python/m.A.two", "failed")])
        self.assertIn("SIGABRT", result[1].output)
        self.assertIn("noise", result[1].output)

    def worker(self, source):
        """{name: (status, text)} of a file of tests, by the program that runs such files."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "test_made.py"
            path.write_text("import unittest\n" + source)
            command = [sys.executable, run.__file__, "--python-worker", path]
            names = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            printed = subprocess.run([*command, *names], capture_output=True, text=True, check=True).stdout
        found = run.python_outcomes("python", names, run.Finished(0, printed))
        self.assertEqual(len(found), len({o.name for o in found}), printed)
        return {o.name.removeprefix("python/test_made."): (o.status, o.reason or o.output) for o in found}

    def test_a_class_that_skips_skips_each_of_its_tests(self):
        result = self.worker(
            "class A(unittest.TestCase):\n"
            "    def test_one(self): pass\n"
            "class B(unittest.TestCase):\n"
            "    @classmethod\n"
            "    def setUpClass(cls): raise unittest.SkipTest('why')\n"
            "    def test_one(self): pass\n"
            "    def test_two(self): pass\n"
        )
        skipped = ("skipped", "why")
        self.assertEqual(result, {"A.test_one": ("passed", ""), "B.test_one": skipped, "B.test_two": skipped})

    def test_a_class_that_cannot_be_set_up_says_why(self):
        result = self.worker(
            "class A(unittest.TestCase):\n"
            "    def test_one(self): pass\n"
            "class B(unittest.TestCase):\n"
            "    @classmethod\n"
            "    def setUpClass(cls): raise ValueError('why')\n"
            "    def test_one(self): pass\n"
        )
        self.assertEqual(result["A.test_one"][0], "passed")
        self.assertEqual(result["B.test_one"][0], "failed")
        self.assertTrue(any(status == "failed" and "ValueError: why" in text for status, text in result.values()), result)

    def test_each_part_that_failed_is_told_and_no_skip_hides_it(self):
        result = self.worker(
            "class A(unittest.TestCase):\n"
            "    def test_one(self):\n"
            "        for part in (2, 3, 5):\n"
            "            with self.subTest(part=part):\n"
            "                if part == 5: self.skipTest('why')\n"
            "                self.assertEqual(part, 7)\n"
        )
        status, text = result["A.test_one"]
        self.assertEqual(status, "failed")
        for told in ("(part=2)", "2 != 7", "(part=3)", "3 != 7"):
            self.assertIn(told, text)


if __name__ == "__main__":
    unittest.main()
