# SPDX-License-Identifier: Apache-2.0
"""The rules that auditd ships (STIG, PCI DSS, OSPP, NISPOM): all of each file is accounted for, and what comes of it is a
configuration."""

import re
import shutil
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


def unpacked_package():
    """The package's own files, which nobody installs for a test: it would start the daemon. None without an archive."""
    folder = ROOT / "build/auditd"
    rules = folder / str(RULES[0]).removeprefix("/")
    if not rules.is_dir() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        with tempfile.TemporaryDirectory(prefix="nightjar-auditd-") as fetched:
            impatient = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10")
            command = ["apt-get", "-q", *impatient, "download", "auditd"]
            done = subprocess.run(command, cwd=fetched, capture_output=True, timeout=TIMEOUT_S, check=False)
            for package in Path(fetched).glob("auditd_*.deb") if done.returncode == 0 else ():
                subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=TIMEOUT_S)
    return rules if rules.is_dir() else None


class ShippedRules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not AGENT.exists():
            raise unittest.SkipTest("build/ci holds no nightjar: run tools/build ci first")
        cls.folder = next((folder for folder in RULES if folder.is_dir()), None) or unpacked_package()
        if not cls.folder:
            raise unittest.SkipTest("auditd is not installed, and apt-get cannot download it")

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
