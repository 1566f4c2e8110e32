# SPDX-License-Identifier: Apache-2.0
"""The rules that auditd ships (STIG, PCI DSS, OSPP, NISPOM): all of each file is accounted for, and what comes of it is a
configuration."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / "build/ci/bin/nightjar"
RULES = [Path("/usr/share/doc/auditd/examples/rules"), Path("/usr/share/audit/sample-rules")]
TIMEOUT_S = 60
SUMMARY = re.compile(
    r"(\d+) rules imported \((\d+) of them differ\), (\d+) the same as another, (\d+) without equivalent, (\d+) wrong, "
    r"(\d+) settings"
)


def lines_of(path):
    return [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]


class ShippedRules(unittest.TestCase):
    def setUp(self):
        if not AGENT.exists():
            self.skipTest("build/ci holds no nightjar: run tools/build ci first")
        self.folder = next((folder for folder in RULES if folder.is_dir()), None)
        if not self.folder:
            self.skipTest("auditd's example rules are not installed (Debian: auditd)")

    def take(self, path, made):
        done = subprocess.run(
            [AGENT, "import-audit", path, "-o", made], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        checked = subprocess.run(
            [AGENT, "config", "check", made], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        self.assertEqual(checked.returncode, 0, checked.stderr)
        return [int(number) for number in SUMMARY.search(done.stderr).groups()], done.stderr

    def test_all_are_accounted_for(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in sorted(self.folder.glob("*.rules")):
                with self.subTest(rules=path.name):
                    (imported, _, twins, without, wrong, settings), _ = self.take(path, Path(folder) / "made.yaml")
                    self.assertEqual(wrong, 0)
                    self.assertEqual(imported + twins + without + settings, len(lines_of(path)))

    def test_stig_and_pci_are_mostly_taken_over(self):
        with tempfile.TemporaryDirectory() as folder:
            for pattern in ("*stig*.rules", "*pci-dss*.rules"):
                path = next(self.folder.glob(pattern))
                with self.subTest(rules=path.name):
                    made = Path(folder) / "made.yaml"
                    (imported, _, twins, without, _, _), report = self.take(path, made)
                    self.assertGreater(imported + twins, 2 * without, report)
                    # Each key became a tag.
                    text = made.read_text()
                    for line in lines_of(path):
                        key = re.search(r"(?:-k |key=)(\S+)", line)
                        if key and f'"{key[1]}"' not in text:
                            self.assertIn(line.split("#")[0].strip()[:40], report)


if __name__ == "__main__":
    unittest.main()
