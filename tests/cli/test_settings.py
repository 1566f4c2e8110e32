# SPDX-License-Identifier: Apache-2.0
"""Settings of single outputs, each key of the configuration, and metrics as Prometheus' own parser reads them."""

import json
import os
import socket
import stat
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
except ImportError:
    text_string_to_metric_families = None

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / "build/ci/bin/nightjar"
TIMEOUT_S = 120
OCSF_PROCESS_ACTIVITY = 1007

# A right value and a wrong one for each key; None: any text will do, or what is wrong shows only when it is used.
KEYS = {
    "events": ("[exec, network]", "[exce]"),
    "format": ("ocsf", "cef"),
    "outputs": ("['-', 'file:/tmp/x?keep=3']", "['flie:/tmp/x']"),
    "metrics": ("127.0.0.1:9464", "0.0.0.0:9464"),
    "scope": ("tree:1", "wood:1"),
    "environment": ("[PATH]", "{a: 1}"),
    "users": ("false", "perhaps"),
    "hash": ("true", "sha256"),
    "package": ("true", "[deb]"),
    "stats_interval": ("5", "often"),
    "latency": ("2", "1"),
    "rate_limit": ("0", "-1"),
    "transport": ("perf", "pigeon"),
    "program_tier": ("kprobe", "first"),
    "without": ("[ringbuf]", "[ring-buffer]"),
    "btf": ("/boot/vmlinux.btf", "[a, b]"),
    "atlas": ("/var/lib/all.atlas", "{a: 1}"),
    "buffer": ("65536", "65537"),
    "pin": ("/sys/fs/bpf/x", "[a, b]"),
    "keep_pins": ("true", "maybe"),
    "duration": ("1.5", "long"),
    "count": ("7", "-7"),
    "summary": ("true", "short"),
    "verbose": ("true", "very"),
    "default": ("drop", "forget"),
    "rules": ("[{id: a, action: drop, events: [exec]}]", "[{action: drop, evnts: [exec]}]"),
}


def agent(*arguments):
    return subprocess.run([AGENT, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


class Settings(unittest.TestCase):
    def setUp(self):
        if not AGENT.exists():
            self.skipTest("build/ci holds no nightjar: run tools/build ci first")
        folder = tempfile.TemporaryDirectory(prefix="nightjar-settings-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def config(self, text):
        file = self.folder / "nightjar.yaml"
        file.write_text(text)
        file.chmod(0o600)
        return file

    def watch(self, script, *options):
        if os.geteuid() != 0:
            self.skipTest("the sensor needs root")
        done = agent("watch", *options, "--", "sh", "-c", script)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def events(self, name):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def test_each_key_is_taken_when_right_and_refused_by_place_when_wrong(self):
        shown = {line.removeprefix("# ").split(":")[0] for line in agent("config", "show").stdout.splitlines() if ":" in line}
        known = {key for key in shown if key.replace("_", "").isalpha() and key.islower()}
        self.assertEqual(known, set(KEYS))
        for key, (right, wrong) in KEYS.items():
            with self.subTest(key=key):
                file = self.config(f"# a comment\n{key}: {right}\n")
                done = agent("config", "check", file)
                self.assertEqual(done.returncode, 0, done.stderr)
                done = agent("config", "check", self.config(f"# a comment\n{key}: {wrong}\n"))
                self.assertEqual(done.returncode, 2, f"{key}: {wrong} was taken")
                self.assertRegex(done.stderr, rf"nightjar\.yaml:2:\d+: .*{key if key != 'rules' else 'evnts'}")

    def test_outputs_have_filters_and_formats_of_their_own(self):
        file = self.config("rules:\n  - {id: truth, events: [exec], executable: '**/true'}\n  - {id: rest}\n")
        place = f"file:{self.folder}"
        self.watch(
            "/bin/true; /bin/false; /bin/true",
            *("--config", file, "--events", "process"),
            *("--output", f"{place}/all", "--output", f"{place}/exits?events=exit"),
            *("--output", f"{place}/ocsf?format=ocsf&events=exec", "--output", f"{place}/ruled?rules=truth&mode=0640"),
        )
        everything = self.events("all")

        def ids(events, *actions):
            return [e["event"]["id"] for e in events if e["event"]["action"] in actions]

        self.assertEqual(len(ids(everything, "exec")), 4)
        exits = [e for e in self.events("exits") if not e["event"]["action"].startswith("sensor_")]
        self.assertEqual([e["event"]["id"] for e in exits], ids(everything, "exit"))
        ocsf = [e for e in self.events("ocsf") if e["class_uid"] == OCSF_PROCESS_ACTIVITY]
        self.assertEqual([e["metadata"]["uid"] for e in ocsf], ids(everything, "exec"))
        ruled = [e for e in self.events("ruled") if not e["event"]["action"].startswith("sensor_")]
        self.assertEqual([e["process"]["name"] for e in ruled], ["true", "true"])
        self.assertEqual(stat.S_IMODE((self.folder / "ruled").stat().st_mode), 0o640)

    def test_a_file_rotates_by_time(self):
        place = f"file:{self.folder}"
        self.watch(
            "for i in 1 2 3 4 5 6 7; do /bin/true; sleep 0.5; done",
            *("--events", "exec", "--output", f"{place}/all", "--output", f"{place}/timed?rotate-every=1s"),
        )
        parts = sorted(self.folder.glob("timed.*"))
        self.assertGreaterEqual(len(parts), 2)
        joined = "".join(part.read_text() for part in [*parts, self.folder / "timed"])
        self.assertEqual(joined, (self.folder / "all").read_text())

    def test_syslog_over_tcp_counts_its_octets(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        got = []

        def read():
            client, _ = server.accept()
            with client:
                while some := client.recv(65536):
                    got.append(some)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        port = server.getsockname()[1]
        self.watch("/bin/true", "--output", f"file:{self.folder}/all", "--output", f"syslog:tcp://127.0.0.1:{port}")
        reader.join(TIMEOUT_S)
        rest = b"".join(got)
        messages = []
        while rest:
            size, _, rest = rest.partition(b" ")
            messages.append(rest[: int(size)].decode())
            rest = rest[int(size) :]
        told = [json.loads(message[message.index("] {") + 2 :]) for message in messages]
        self.assertEqual(told, self.events("all"))

    @unittest.skipUnless(text_string_to_metric_families, "no python3-prometheus-client here")
    def test_metrics_are_what_prometheus_reads(self):
        self.watch(
            "/bin/true; /bin/true; /bin/true",
            *("--events", "process", "--metrics", f"file:{self.folder}/nightjar.prom", "--output", f"file:{self.folder}/all"),
        )
        families = {
            family.name: family for family in text_string_to_metric_families((self.folder / "nightjar.prom").read_text())
        }
        sent = {s.labels["event"]: s.value for s in families["nightjar_events_sent"].samples}
        for action in ("exec", "fork", "exit"):
            told = [e for e in self.events("all") if e["event"]["action"] == action]
            self.assertEqual(sent[action], len(told), action)
        self.assertTrue(all(family.documentation and family.type != "unknown" for family in families.values()))


if __name__ == "__main__":
    unittest.main()
