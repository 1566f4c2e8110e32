# SPDX-License-Identifier: Apache-2.0
"""docs/oxidebpf.md names a test for each row: they must exist."""

import fnmatch
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MACRO = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", re.MULTILINE)
LATENT_BUGS = 16


class OxidebpfTable(unittest.TestCase):
    def setUp(self):
        self.text = (ROOT / "docs/oxidebpf.md").read_text()
        sources = [path.read_text() for path in (ROOT / "tests/loader").glob("*.cpp")]
        self.tests = {f"{suite}.{name}" for source in sources for suite, name in MACRO.findall(source)}

    def test_every_test_named_exists(self):
        rows = [line for line in self.text.splitlines() if line.startswith("| ")]
        named = re.findall(r"`(\w+\.[\w*]+)`", "\n".join(row.rsplit("|", 2)[1] for row in rows))
        self.assertGreater(len(named), 50)
        for pattern in named:
            self.assertTrue(fnmatch.filter(self.tests, pattern), f"no test {pattern} in tests/loader")

    def test_every_latent_bug_has_a_row_with_a_test(self):
        rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", self.text, re.MULTILINE)
        self.assertEqual([int(number) for number, _ in rows], list(range(1, LATENT_BUGS + 1)))
        for number, tests in rows:
            self.assertIn("`", tests, f"row {number} names no test")


if __name__ == "__main__":
    unittest.main()
