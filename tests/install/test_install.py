# SPDX-License-Identifier: Apache-2.0
"""Installs libnightjar into an empty folder and uses it from there as others will: CMake, pkg-config, the examples."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "ci"
SYMBOLS = ROOT / "docs" / "api" / "libnightjar.symbols"
TIMEOUT_S = 300


def run(*command, **options):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **options
    )
    if done.returncode != 0:
        raise AssertionError(f"{command} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def exported(library):
    """Names that the library shows, demangled, one a line, without their addresses."""
    lines = run("nm", "-DC", "--defined-only", library).splitlines()
    names = {re.sub(r"^\S+ ", "", line) for line in lines}
    names.discard("A NIGHTJAR_0")
    return sorted(re.sub(r"@@?NIGHTJAR_\d+$", "", name) for name in names)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not (BUILD / "src/loader/libnightjar.so").exists():
            raise unittest.SkipTest("build/ci holds no libnightjar.so: run tools/build ci first")
        cls.folder = tempfile.TemporaryDirectory(prefix="nightjar-install-")
        cls.prefix = Path(cls.folder.name) / "usr"
        for component in ("library", "development"):
            run("cmake", "--install", BUILD, "--prefix", cls.prefix, "--component", component)
        cls.lib = next(cls.prefix.rglob("libnightjar.so")).parent

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_library_shows_what_the_snapshot_says(self):
        wanted = [line for line in SYMBOLS.read_text().splitlines() if not line.startswith("#")]
        found = exported(self.lib / "libnightjar.so")
        hint = f"the library's interface changed; when that is meant: tests/install/test_install.py --write, then read the diff of {SYMBOLS.name}"
        self.assertEqual(wanted, found, hint)

    def test_library_shows_nothing_of_others(self):
        for name in exported(self.lib / "libnightjar.so"):
            self.assertIn("nightjar::", name)

    def test_library_has_a_version(self):
        dynamic = run("readelf", "-d", self.lib / "libnightjar.so")
        self.assertRegex(dynamic, r"SONAME.*\[libnightjar\.so\.\d+\]")
        self.assertTrue((self.lib / "libnightjar.so").is_symlink())

    def test_every_header_compiles_alone(self):
        for header in sorted((self.prefix / "include/nightjar").glob("*.hpp")):
            source = f"#include <nightjar/{header.name}>\n"
            command = ("g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++", "-")
            run(*command, "-I", self.prefix / "include", input=source)

    def test_pkg_config_user(self):
        if not shutil.which("pkg-config"):
            self.skipTest("pkg-config is not installed")
        environment = dict(os.environ, PKG_CONFIG_PATH=str(self.lib / "pkgconfig"))
        flags = run("pkg-config", "--cflags", "--libs", "libnightjar", env=environment).split()
        # The file names the prefix of the build; this copy is elsewhere.
        flags += ["-I", str(self.prefix / "include"), "-L", str(self.lib), f"-Wl,-rpath,{self.lib}"]
        program = Path(self.folder.name) / "user"
        source = (
            "#include <nightjar/program_group.hpp>\n"
            'int main() { auto none = nightjar::ProgramBlueprint::from_file("/nonexistent");\n'
            "  return none || none.error().code() != nightjar::errc::not_found; }\n"
        )
        run("g++", "-x", "c++", "-", "-x", "none", *flags, "-o", program, input=source)
        run(program)

    def test_examples_build_against_the_installed_library(self):
        build = Path(self.folder.name) / "examples"
        # A copy, so that nothing of the repository is in reach.
        sources = Path(self.folder.name) / "sources"
        shutil.copytree(ROOT / "examples", sources)
        run("cmake", "-S", sources, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra")
        run("cmake", "--build", build)
        self.assertLessEqual(len((ROOT / "examples/ring_reader.cpp").read_text().splitlines()), 40)
        if os.geteuid() != 0:
            self.skipTest("built; running them needs root")
        self.run_ring_reader(build)

    def run_ring_reader(self, build):
        """It reports the exec of one process, ours."""
        with subprocess.Popen(["sh", "-c", "read go; exec true"], stdin=subprocess.PIPE, text=True) as process:
            command = [build / "ring_reader", str(process.pid)]
            with subprocess.Popen(command, cwd=build, stdout=subprocess.PIPE, text=True) as reader:
                try:
                    self.assertEqual(reader.stdout.readline(), "ready\n")
                    process.communicate("go\n", timeout=TIMEOUT_S)
                    self.assertEqual(reader.stdout.readline(), "true\n")
                finally:
                    reader.kill()


class Reference(unittest.TestCase):
    def test_has_no_warnings(self):
        if not shutil.which("doxygen"):
            self.skipTest("doxygen is not installed")
        with tempfile.TemporaryDirectory() as folder:
            options = (ROOT / "docs/Doxyfile").read_text() + f"\nOUTPUT_DIRECTORY = {folder}\n"
            run("doxygen", "-", input=options, cwd=ROOT)


if __name__ == "__main__":
    import sys

    if sys.argv[1:] == ["--write"]:
        names = exported(BUILD / "src/loader/libnightjar.so")
        SYMBOLS.write_text("# SPDX-License-Identifier: Apache-2.0\n" + "\n".join(names) + "\n")
    else:
        unittest.main()
