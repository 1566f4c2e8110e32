# SPDX-License-Identifier: Apache-2.0
"""The tarball in a folder that holds nothing else: no library, no shell, no /proc."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / "build/ci/bin/nightjar"
TIMEOUT_S = 300


class Tarball(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not AGENT.exists():
            raise unittest.SkipTest("build/ci holds no nightjar: run tools/build ci first")
        if os.geteuid() != 0:
            raise unittest.SkipTest("chroot needs root")
        cls.folder = tempfile.TemporaryDirectory(prefix="nightjar-tarball-")
        cls.bare = Path(cls.folder.name) / "bare"
        cls.bare.mkdir()
        archive = Path(cls.folder.name) / "nightjar.tar.xz"
        command = [ROOT / "packaging/build-tarball", "--agent", AGENT, "--output", archive]
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S, env=dict(os.environ, XZ_OPT="-0"))
        subprocess.run(["tar", "-C", cls.bare, "--strip-components=1", "-xf", archive], check=True, timeout=TIMEOUT_S)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_bare(self, *arguments):
        return subprocess.run(
            [shutil.which("chroot"), self.bare, "/bin/nightjar", *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def test_needs_nothing_of_the_machine(self):
        done = self.run_bare("version")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("nightjar "), done.stdout)

    def test_passes_arguments_and_status_on(self):
        (self.bare / "wrong.yaml").write_text("evnts: [exec]\n")
        done = self.run_bare("config", "check", "/wrong.yaml")
        self.assertEqual(done.returncode, 2)
        self.assertIn("wrong.yaml:1:1", done.stderr)

    def test_loads_the_libraries_of_the_outputs(self):
        if not (self.bare / "lib/librdkafka.so.1").exists():
            self.skipTest("librdkafka is not installed")
        # Refused by librdkafka itself: it was found.
        done = self.run_bare("watch", "--output", "kafka://x:1/t?compression.codec=nonsense", "--", "/bin/nightjar")
        self.assertIn("compression.codec", done.stderr)
        self.assertNotIn("librdkafka.so", done.stderr)

    def test_is_called_nightjar_through_a_link(self):
        link = Path(self.folder.name) / "link"
        link.symlink_to(self.bare / "bin/nightjar")
        done = subprocess.run([link, "version"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
