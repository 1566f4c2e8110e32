# SPDX-License-Identifier: Apache-2.0
"""Unit tests of the matrix runner: no network, no guest."""

import base64
import importlib.util
import io
import json
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import fetch  # noqa: E402
import guest  # noqa: E402
import kernels  # noqa: E402


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


run = load("nightjar_vm_run", HERE / "run.py")

DEBIAN = """\
Types: deb
# a comment
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /keys/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main
Signed-By: /keys/debian-archive-keyring.gpg
"""

UBUNTU = """\
Types: deb
URIs: http://mirror.invalid/ubuntu
Suites: noble noble-updates
Components: main universe
Signed-By: /keys/ubuntu-archive-keyring.gpg
"""


class Kernels(unittest.TestCase):
    def test_the_list_is_what_the_matrix_needs(self):
        known = kernels.load()
        chosen = [k for k in known.values() if k.matrix]
        self.assertGreaterEqual(len(chosen), 7)
        self.assertLessEqual({"5.10", "6.1", "6.12"}, {k.id for k in chosen})
        for kernel in known.values():
            with self.subTest(kernel.id):
                self.assertTrue(kernel.suites)
                self.assertFalse(kernel.features & kernel.lacks)
                for feature in ("fentry", "kprobe", "ring_buffer", "task_iterator", "tp_btf"):
                    self.assertIn(feature, kernel.features)

    def test_packages(self):
        known = kernels.load()
        self.assertTrue(known["6.12"].package.fullmatch("linux-image-6.12.115+deb13.1-cloud-amd64"))
        self.assertFalse(known["6.12"].package.fullmatch("linux-image-6.12.115+deb13.1-cloud-amd64-unsigned"))
        self.assertFalse(known["6.1"].package.fullmatch("linux-image-6.12.94+deb13-cloud-amd64"))
        self.assertFalse(known["6.1"].package.fullmatch("linux-image-6.1.0-0.deb11.52-cloud-amd64"))

    def test_both_lacking_and_having(self):
        text = "[DEFAULT]\nmatrix=yes\nmodules=\nfeatures=a\nalso=b\nlacks=b\n[1.0]\nsuites=x\npackage=y\n"
        with self.assertRaises(ValueError):
            kernels.parse(text)

    def test_lacking_beats_the_common_list(self):
        text = "[DEFAULT]\nmatrix=yes\nmodules=\nfeatures=a b\nalso=\nlacks=b\n[1.0]\nsuites=x\npackage=y\n"
        self.assertEqual(kernels.parse(text)["1.0"].features, {"a"})


class Sources(unittest.TestCase):
    def archive(self, sources):
        return fetch.find_archive(sources, keyring_exists=lambda path: True)

    def test_deb822(self):
        archive = self.archive(fetch.parse_deb822(DEBIAN))
        self.assertEqual(archive.main, ["http://mirror.invalid/debian"])
        self.assertEqual(archive.security, ["http://mirror.invalid/debian-security"])
        self.assertEqual(archive.keyring, "/keys/debian-archive-keyring.gpg")

    def test_one_line(self):
        text = (
            "# deb http://commented.invalid/debian bookworm main\n"
            "deb cdrom:[Debian]/ bookworm main\n"
            "deb [arch=amd64 signed-by=/keys/other.gpg] http://other.invalid/apt bookworm main\n"
            "deb http://mirror.invalid/debian bookworm main contrib # end\n"
            "deb-src http://mirror.invalid/debian bookworm main\n"
            "deb http://mirror.invalid/debian-security bookworm-security main\n"
        )
        sources = fetch.parse_one_line(text)
        self.assertEqual(len(sources), 3)
        archive = self.archive(sources)
        self.assertEqual(archive.main, ["http://mirror.invalid/debian"])
        self.assertEqual(archive.security, ["http://mirror.invalid/debian-security"])
        self.assertEqual(archive.keyring, fetch.KEYRING)

    def test_others_with_debian_suites_are_not_debian(self):
        text = "deb [signed-by=/keys/vendor.gpg] http://vendor.invalid/debian bookworm main\n"
        with self.assertRaises(fetch.Unavailable):
            self.archive(fetch.parse_one_line(text))

    def test_ubuntu(self):
        with self.assertRaisesRegex(fetch.Unavailable, "not Debian's"):
            self.archive(fetch.parse_deb822(UBUNTU))

    def test_no_keyring(self):
        with self.assertRaisesRegex(fetch.Unavailable, "keyring"):
            fetch.find_archive(fetch.parse_deb822(DEBIAN), keyring_exists=lambda path: False)

    def test_disabled(self):
        self.assertEqual(fetch.parse_deb822("Enabled: no\n" + DEBIAN.split("\n\n", maxsplit=1)[0]), [])

    def test_continued_fields(self):
        text = "Types: deb\nURIs: http://a.invalid/debian\n http://b.invalid/debian\nSuites: sid\nComponents: main\n"
        self.assertEqual(
            fetch.parse_deb822(text)[0].uris, ["http://a.invalid/debian", "http://b.invalid/debian"]
        )

    def test_files_of_a_machine(self):
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "etc/apt/sources.list.d"
            folder.mkdir(parents=True)
            (folder / "debian.sources").write_text(DEBIAN, encoding="utf-8")
            (folder / "old.list.disabled").write_text("deb http://x.invalid/debian sid main\n", encoding="utf-8")
            self.assertEqual(len(fetch.machine_sources(root)), 2)

    def test_private_sources(self):
        archive = fetch.Archive(["http://m.invalid/debian"], ["http://m.invalid/debian-security"], "/keys/k.gpg")
        text = fetch.private_sources(archive, ["trixie-backports", "bookworm-security"])
        parsed = fetch.parse_deb822(text)
        self.assertEqual([(s.uris, s.suites) for s in parsed], [
            (["http://m.invalid/debian"], ["trixie-backports"]),
            (["http://m.invalid/debian-security"], ["bookworm-security"]),
        ])
        self.assertTrue(all(s.signed_by == "/keys/k.gpg" for s in parsed))

    def test_no_security_archive(self):
        archive = fetch.Archive(["http://m.invalid/debian"], [], "/keys/k.gpg")
        text = fetch.private_sources(archive, ["trixie", "trixie-security"])
        self.assertEqual([s.suites for s in fetch.parse_deb822(text)], [["trixie"]])

    def test_messages_name_no_host(self):
        text = fetch.without_hosts("E: Failed to fetch http://m.invalid/debian/x.deb  404 [IP: 192.0.2.1 80]")
        self.assertNotIn("invalid", text)
        self.assertNotIn("192.0.2.1", text)


class Packages(unittest.TestCase):
    def test_split_packages(self):
        image = {
            "Package": "linux-image-7.3",
            "Depends": "kmod, linux-base-7.3 (= 7.3-1), linux-binary-7.3 (= 7.3-1), linux-modules-7.3 (= 7.3-1)",
        }

        class FakeApt:
            def packages(self, prefix, matches):
                return [{"Package": prefix, "Version": "7.3-1"}] if "binary" in prefix and matches(prefix) else []

        chosen, missing = fetch.with_parts(FakeApt(), image)
        self.assertEqual([p["Package"] for p in chosen], ["linux-image-7.3", "linux-binary-7.3"])
        self.assertEqual(missing, ["linux-modules-7.3"])

    @unittest.skipUnless(shutil.which("dpkg"), "no dpkg here")
    def test_the_newest_version(self):
        versions = ["6.12.9-1", "6.12.115-1~bpo12+1", "6.12.115-1"]
        self.assertEqual(fetch.choose([{"Version": v} for v in versions])["Version"], "6.12.115-1")

    def test_modules_with_dependencies(self):
        with tempfile.TemporaryDirectory() as folder:
            tree, target = Path(folder) / "tree/kernel", Path(folder) / "target"
            tree.mkdir(parents=True)
            target.mkdir()
            (tree / "a-b.ko.xz").write_bytes(fetch.lzma.compress(b"\x7fELF..\0license=GPL\0depends=c,d\0name=a_b\0"))
            (tree / "c.ko").write_bytes(b"\x7fELF..\0depends=d\0")
            (tree / "d.ko").write_bytes(b"\x7fELF..\0depends=\0")
            (tree.parent / "modules.builtin").write_text("kernel/fs/e.ko\n", encoding="utf-8")
            self.assertEqual(fetch.collect_modules(tree.parent, ["a-b", "e"], target), ["d.ko", "c.ko", "a_b.ko"])
            self.assertTrue((target / "a_b.ko").read_bytes().startswith(b"\x7fELF"))
            with self.assertRaises(fetch.FetchError):
                fetch.collect_modules(tree.parent, ["absent"], target)

    def test_the_cache_knows_what_is_complete(self):
        kernel = kernels.load()["6.12"]
        with tempfile.TemporaryDirectory() as name:
            cache = Path(name)
            folder = cache / kernel.id
            (folder / "modules").mkdir(parents=True)
            record = {
                "format": fetch.FORMAT,
                "package": "linux-image-6.12.1+deb13-cloud-amd64",
                "version": "6.12.1-1",
                "modules": list(kernel.modules),
                "load": ["overlay.ko"],
            }
            (folder / "kernel.json").write_text(json.dumps(record), encoding="utf-8")
            (folder / "vmlinuz").touch()
            self.assertIsNone(fetch.cached(kernel, cache))
            (folder / "modules/overlay.ko").touch()
            self.assertEqual(fetch.cached(kernel, cache), record)
            folders, problems = fetch.ensure([kernel], cache=cache)
            self.assertEqual((folders, problems), ({"6.12": folder}, {}))


class Initramfs(unittest.TestCase):
    def entries(self, data):
        """[(name, mode, content)] of a newc archive."""
        found, at = [], 0
        while at < len(data):
            if data[at : at + 6] != b"070701":
                at += 1  # padding between archives
                continue
            fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
            name = data[at + 110 : at + 110 + fields[11] - 1].decode()
            start = (at + 110 + fields[11] + 3) // 4 * 4
            found.append((name, fields[1], data[start : start + fields[6]]))
            at = (start + fields[6] + 3) // 4 * 4
        return found

    def test_cpio(self):
        stream = io.BytesIO()
        cpio = guest.Cpio(stream)
        cpio.file("/a/b/file", b"12345", 0o755)
        cpio.link("a/link", "b/file")
        cpio.file("a/b/file", b"the first one stays")
        cpio.close()
        self.assertEqual(len(stream.getvalue()) % 512, 0)
        self.assertEqual(
            self.entries(stream.getvalue()),
            [
                ("a", stat.S_IFDIR | 0o755, b""),
                ("a/b", stat.S_IFDIR | 0o755, b""),
                ("a/b/file", stat.S_IFREG | 0o755, b"12345"),
                ("a/link", stat.S_IFLNK | 0o777, b"b/file"),
                ("TRAILER!!!", 0, b""),
            ],
        )

    @unittest.skipUnless(shutil.which("cpio"), "no cpio here")
    def test_cpio_reads_it(self):
        stream = io.BytesIO()
        cpio = guest.Cpio(stream)
        cpio.file("folder/file", b"text")
        cpio.close()
        listed = subprocess.run(["cpio", "-t", "--quiet"], input=stream.getvalue(), stdout=subprocess.PIPE, check=True)
        self.assertEqual(listed.stdout.decode().split(), ["folder", "folder/file"])

    def test_overlay(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "modules").mkdir()
            (Path(folder) / "modules/overlay.ko").write_bytes(b"module")
            stream = io.BytesIO()
            guest.overlay(stream, folder, ["overlay.ko"], [(30, "one"), (40, "two")])
            files = {name: data for name, _, data in self.entries(stream.getvalue())}
        self.assertEqual(files["plan/list"], b"0 30\n1 40\n")
        self.assertEqual(files["plan/1"], b"two")
        self.assertEqual(files["etc/modules.load"], b"overlay.ko\n")
        self.assertEqual(files["usr/lib/modules/overlay.ko"], b"module")

    def test_merged(self):
        self.assertEqual(guest.merged("/bin/sh"), "/usr/bin/sh")
        self.assertEqual(guest.merged("/lib64/ld.so"), "/usr/lib64/ld.so")
        self.assertEqual(guest.merged("/usr/bin/sh"), "/usr/bin/sh")
        self.assertEqual(guest.merged("/library/x"), "/library/x")

    def test_what_is_taken_of_a_build(self):
        for name in ("CMakeFiles/x.dir/x.cpp.o", "a/CMakeFiles/y", "libx.a", "cmake_install.cmake", "Makefile"):
            self.assertTrue(guest.NOT_TESTS.search(name), name)
        for name in ("event_tests", "workloads/tiny", "objects/probe.bpf.o", "data/case.txt"):
            self.assertFalse(guest.NOT_TESTS.search(name), name)

    def test_init_is_a_shell_script(self):
        shell = shutil.which("dash") or shutil.which("sh")
        self.assertEqual(subprocess.run([shell, "-n", HERE / "init.sh"], check=False).returncode, 0)


class Results(unittest.TestCase):
    def packed(self, files):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo("./" + name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return base64.encodebytes(stream.getvalue())

    def test_frames_in_pieces(self):
        data = b"READY 2.50 6.12.1\nBEGIN 0 3.00\nFILES 0\n" + self.packed({"report.json": b"{}"}) + b".\n"
        data += b"END 0 1 7.25\nBEGIN 1 7.30\n"
        frames = guest.Frames(2)
        news = []
        for at in range(0, len(data), 7):
            news += frames.feed(data[at : at + 7])
        self.assertEqual(news, [("READY", None), ("BEGIN", 0), ("FILES", 0), ("END", 0), ("BEGIN", 1)])
        self.assertEqual(frames.steps[0].status, 1)
        self.assertAlmostEqual(frames.steps[0].seconds, 4.25)
        self.assertEqual(frames.steps[0].files, {"report.json": b"{}"})
        self.assertTrue(frames.steps[1].begun)
        self.assertIsNone(frames.steps[1].status)
        self.assertFalse(frames.done)

    def test_frames_survive_rubbish(self):
        frames = guest.Frames(1)
        frames.feed(b"END\nBEGIN x y\nEND 7 0 1\n\xff\xfe\nFILES 0\nnot base64 at all\n.\nEND 0 0 2\n")
        self.assertEqual(frames.steps[0].status, 0)
        self.assertIn("unreadable", frames.steps[0].files)

    def test_output_by_step(self):
        data = b"\036BEGIN 0\nfirst\n\n\036END 0\n\036BEGIN 1\nthe guest stopped he"
        self.assertEqual(guest.split_output(data, 3), ["first\n", "the guest stopped he", ""])


GTEST = """\
[ RUN      ] A.Good
[       OK ] A.Good (1 ms)
[ RUN      ] A.Bad
x.cpp:3: Failure
it is bad
[  FAILED  ] A.Bad (1 ms)
[ RUN      ] A.Lacks
x.cpp:9: Skipped
kernel lacks {feature}: Operation not permitted
[  SKIPPED ] A.Lacks (0 ms)
"""


class Judging(unittest.TestCase):
    def outcomes(self, result, names=("A.Good", "A.Bad", "A.Lacks"), problem="", console=""):
        kernel = kernels.load()["6.1"]
        step = run.Step("btf/perf", 60, "", list(names))
        found = run.step_outcomes(kernel, step, result, problem, console, lambda name: "again " + name)
        return {o.name.split("/")[-1]: o for o in found}

    def test_a_skip_for_what_the_kernel_lacks(self):
        result = guest.StepResult(True, 1, 2.0, {}, GTEST.format(feature="arena"))
        found = self.outcomes(result)
        self.assertEqual([found[n].status for n in ("A.Good", "A.Bad", "A.Lacks")], ["passed", "failed", "skipped"])
        self.assertIn("it is bad", found["A.Bad"].output)
        self.assertEqual(found["A.Bad"].reproduce, "again A.Bad")
        self.assertIn("kernel lacks arena", found["A.Lacks"].reason)

    def test_a_skip_for_what_it_has(self):
        found = self.outcomes(guest.StepResult(True, 1, 2.0, {}, GTEST.format(feature="task iterator")))
        self.assertEqual(found["A.Lacks"].status, "failed")
        self.assertIn("6.1 has task_iterator", found["A.Lacks"].output)

    def test_a_skip_for_what_nobody_knows(self):
        found = self.outcomes(guest.StepResult(True, 1, 2.0, {}, GTEST.format(feature="teleportation")))
        self.assertEqual(found["A.Lacks"].status, "failed")
        self.assertIn("does not say", found["A.Lacks"].output)

    def test_lacking(self):
        self.assertEqual(run.lacking("kernel lacks fentry: refused"), "fentry")
        self.assertEqual(run.lacking("kernel lacks ring buffer"), "ring_buffer")
        self.assertEqual(run.lacking("needs root"), "")

    def test_a_guest_that_panics_fails_every_test(self):
        output = "[ RUN      ] A.Good\n[       OK ] A.Good (1 ms)\n[ RUN      ] A.Bad\n"
        result = guest.StepResult(True, None, 0.0, {}, output)
        found = self.outcomes(result, problem="the guest stopped", console="Kernel panic - not syncing")
        self.assertEqual([o.status for o in found.values()], ["passed", "failed", "failed"])
        self.assertIn("Kernel panic", found["A.Bad"].output)
        found = self.outcomes(guest.StepResult(), problem="the guest stopped")
        self.assertEqual({o.status for o in found.values()}, {"failed"})
        self.assertIn("had not begun", found["A.Good"].output)

    def test_a_test_that_hangs(self):
        output = "[ RUN      ] A.Good\n"
        found = self.outcomes(guest.StepResult(True, 137, 60.1, {}, output), names=["A.Good", "A.Bad"])
        self.assertEqual({o.status for o in found.values()}, {"failed"})
        self.assertIn("did not end in 60 s", found["A.Good"].output)

    def test_a_crash(self):
        output = "[ RUN      ] A.Good\n"
        found = self.outcomes(guest.StepResult(True, 139, 1.0, {}, output), names=["A.Good"])
        self.assertIn("SIGSEGV", found["A.Good"].output)

    def test_trouble_in_the_kernel(self):
        outcomes = []
        result = guest.StepResult(True, 0, 1.0, {"dmesg": b"WARNING: CPU: 0"}, "")
        run.add_kernel_trouble(outcomes, "6.1/btf/perf", result, lambda name: "again")
        self.assertEqual([(o.name, o.status) for o in outcomes], [("6.1/btf/perf/(kernel log)", "failed")])


class Reporting(unittest.TestCase):
    def some(self):
        def make(name, status, reason=""):
            return run.Outcome(name, status, reason=reason)

        why = "kernel lacks arena: no"
        return {
            (kernel, config): [
                make(f"{kernel}/{config}/A.x", "passed"),
                make(f"{kernel}/{config}/A.y", "skipped", why),
                make(f"{kernel}/{config}/A.z", "skipped", why),
            ]
            for kernel in ("5.10", "6.1")
            for config in ("btf/perf", "loader")
        }

    def test_table(self):
        lines = run.table(["5.10", "6.1", "7.3"], ["btf/perf", "loader"], self.some(), {"5.10": "12"})
        self.assertEqual(lines[0].split(), ["kernel", "btf/perf", "loader", "seconds"])
        self.assertEqual(lines[2].split(), ["5.10", "1/0/2", "1/0/2", "12"])
        self.assertEqual(lines[4].split(), ["7.3", "-", "-", "-"])

    def test_skips_are_grouped(self):
        self.assertEqual(
            run.skip_lines(self.some()), ["5.10 6.1 btf/perf loader: A.y, A.z: skipped: kernel lacks arena: no"]
        )

    def test_json_is_what_the_test_runner_reads(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vm.json"
            run.write_json(path, self.some())
            text = path.read_text(encoding="utf-8")
        document = json.loads(text)
        self.assertEqual([document[k] for k in ("passed", "failed", "skipped")], [4, 0, 8])
        self.assertEqual(len(document["results"]), 4)
        outcomes = run.tests.vm_outcomes(text, run.tests.Finished(0, ""), "again")
        self.assertEqual(run.tests.count(outcomes), (4, 0, 8))
        self.assertIn("vm/5.10/btf/perf/A.x", [o.name for o in outcomes])


class Options(unittest.TestCase):
    def test_filters(self):
        known = kernels.load()
        self.assertEqual(run.split_filter("6.12/btf/perf/A.b", known), ("6.12", "btf/perf", "A.b"))
        self.assertEqual(run.split_filter("6.12/loader", known), ("6.12", "loader", ""))
        self.assertEqual(run.split_filter("6.12/*", known), ("6.12", "", ""))
        self.assertEqual(run.split_filter("Suite/Test.name/0", known), ("", "", "Suite/Test.name/0"))
        self.assertEqual(run.gtest_filter("Exec"), "*Exec*")
        self.assertEqual(run.gtest_filter("Exec.*:-Exec.b"), "Exec.*:-Exec.b")
        self.assertEqual(run.gtest_filter(""), "")

    def test_steps(self):
        names = {"event_tests": ["A.b"], "loader_tests": []}
        steps = run.make_steps(["doctor", "loader", "kprobe/perf"], names, "", 60)
        self.assertEqual([s.config for s in steps], ["doctor", "kprobe/perf"])
        self.assertIn("export NIGHTJAR_TEST_TIER=kprobe\n", steps[1].script)
        self.assertIn("export NIGHTJAR_TEST_TRANSPORT=perf\n", steps[1].script)
        self.assertIn("--gtest_output=json:/out/1/report.json", steps[1].script)
        steps = run.make_steps(["doctor", "kprobe/perf"], names, "A.b", 60)
        self.assertEqual([s.config for s in steps], ["kprobe/perf"])

    def test_never_kvm(self):
        command = guest.Machine().command("k", "i", "f")
        self.assertIn("tcg,thread=multi", command)
        self.assertNotIn("kvm", " ".join(command).lower())


if __name__ == "__main__":
    unittest.main()
