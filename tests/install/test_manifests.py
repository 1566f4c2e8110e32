# SPDX-License-Identifier: Apache-2.0
"""The manifests for containers, where no engine runs: they can be read, they hold together, and the agent takes what they
give it: its arguments, its capabilities, its libraries."""

import json
import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

try:
    import yaml
except ImportError:  # python3-yaml
    yaml = None

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / "build/ci/bin/nightjar"
TIMEOUT_S = 60
INSTRUCTIONS = {"FROM", "COPY", "RUN", "ENTRYPOINT", "CMD"}


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False).stdout


def pod_of(document):
    return document["spec"]["template"]


@unittest.skipIf(yaml is None, "no python3-yaml")
class Kubernetes(unittest.TestCase):
    def setUp(self):
        self.manifests = [ROOT / "packaging/daemonset.yaml", ROOT / "docs/atlas-job.yaml"]
        self.documents = [d for path in self.manifests for d in yaml.safe_load_all(path.read_text())]
        self.pods = [pod_of(d) for d in self.documents if d["kind"] != "Namespace"]

    def test_hold_together(self):
        self.assertEqual([d["kind"] for d in self.documents], ["Namespace", "DaemonSet", "Job"])
        namespace, daemon_set, _ = self.documents
        self.assertEqual(daemon_set["metadata"]["namespace"], namespace["metadata"]["name"])
        labels = pod_of(daemon_set)["metadata"]["labels"]
        self.assertLessEqual(daemon_set["spec"]["selector"]["matchLabels"].items(), labels.items())
        for document in self.documents:
            self.assertRegex(document["apiVersion"], r"^(v1|apps/v1|batch/v1)$")
        for pod in self.pods:
            volumes = [volume["name"] for volume in pod["spec"]["volumes"]]
            for container in pod["spec"]["containers"]:
                self.assertCountEqual([mount["name"] for mount in container["volumeMounts"]], volumes)

    def test_the_agent_starts_with_what_the_daemon_set_grants(self):
        if os.geteuid() != 0 or not AGENT.exists():
            self.skipTest("needs root and build/ci's nightjar")
        container = self.pods[0]["spec"]["containers"][0]
        granted = container["securityContext"]["capabilities"]
        self.assertEqual(granted["drop"], ["ALL"])
        bounding = ",".join(["-all", *("+" + name.lower() for name in granted["add"])])
        # On this machine in the scope of an own process only.
        scoped = [*container["args"], "--scope", f"tree:{os.getpid()}", "--duration", "0.5"]
        scoped[scoped.index("127.0.0.1:9464")] = "127.0.0.1:0"
        done = subprocess.run(
            ["setpriv", f"--bounding-set={bounding}", AGENT, *scoped],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        actions = [event["event"]["action"] for event in events]
        self.assertEqual(actions[0], "sensor_started")
        self.assertEqual(actions[-1], "sensor_stopped")


class Dockerfile(unittest.TestCase):
    def setUp(self):
        text = (ROOT / "packaging/Dockerfile").read_text()
        lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
        self.instructions = [line.split(None, 1) for line in lines]

    def test_has_known_instructions_and_stages(self):
        stages = []
        for name, rest in self.instructions:
            self.assertIn(name, INSTRUCTIONS)
            if name == "FROM":
                stages.append(rest.rpartition(" AS ")[2])
            for stage in re.findall(r"--from=(\S+)", rest):
                self.assertIn(stage, stages)
            if name in ("ENTRYPOINT", "CMD"):
                self.assertIsInstance(json.loads(rest), list)

    def test_installs_the_libraries_that_the_agent_needs(self):
        release = Path("/etc/os-release").read_text()
        if 'VERSION_ID="12"' not in release or not shutil.which("dpkg") or not AGENT.exists():
            self.skipTest("needs Debian 12, as in the image, and build/ci's nightjar")
        needed = re.findall(r"NEEDED.*\[(\S+)\]", output_of("readelf", "-d", AGENT))
        where = dict(re.findall(r"(\S+) => (\S+)", output_of("ldd", AGENT)))
        installed = next(rest for name, rest in reversed(self.instructions) if name == "RUN").split()
        for library in needed:
            if library not in where:  # the loader itself
                continue
            # dpkg knows the path before /usr was merged.
            path = os.path.realpath(where[library])
            owner = output_of("dpkg", "-S", path) or output_of("dpkg", "-S", path.removeprefix("/usr"))
            package = owner.split(":")[0]
            if package not in ("libc6", "libgcc-s1", "libstdc++6"):  # apt's own
                self.assertIn(package, installed, path)
        for package in ("librdkafka1", "libcurl4"):  # loaded by the outputs that need them
            self.assertIn(package, installed)


if __name__ == "__main__":
    unittest.main()
