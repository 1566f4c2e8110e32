# SPDX-License-Identifier: Apache-2.0
"""Every command in the documents is run: here, with addresses and paths that exist here in place of others' own, or by the
test that the table names. A command that no line of the table knows is a failure, and so is a page or an option that the
documents forgot."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / "build/ci/bin/nightjar"
TIMEOUT_S = 120

# Documents whose commands are for readers. CONTRIBUTING's are those that CI runs.
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/man").glob("*.[1-9]"))]
COMMANDS = re.compile(
    r"(nightjar|\./run|\./test|tools/\S+|packaging/\S+|apt-get|systemctl|journalctl|cmake|install|echo|openssl|sbatch"
    r"|build/ci/bin/nightjar|docker|kubectl|bench/run|c\+\+)( |$)"
)
# With what the reader is to fill in, these are no commands yet.
SYNOPSIS = re.compile(r"(^|[ |\[])(COMMAND|FILE|RULES|EVENTS|PAGE|ARGS|FILTER|\.\.\.)([ \],|.]|$)|\.\.\.|check\|show")

# (pattern, what becomes of the command: a shell line with {0} for it, or the place of the test that runs it)
RUN = "{0}"
SCOPE = "nightjar run --duration 0.3 --scope tree:$$ "
TABLE = [
    (r"apt-get |systemctl |journalctl |packaging/build-deb", "tests/vm/systemd.py"),
    (r"\./run|\./test|tools/build|tools/lint|tools/setup", ".ci/run"),
    (r"bench/run", "{root}/bench/run --help"),  # rounds take minutes and the whole machine
    (r"cmake|c\+\+ ", "tests/install/test_install.py"),
    (r"sbatch|nightjar atlas build", "docs/atlas-job.yaml"),
    (r"nightjar atlas (show|diff|add)", "tests/unit/atlas_test.cpp"),
    (r"nightjar run .*(http|kafka)", None),  # below: outputs to nowhere
    (r"nightjar run .*--scope", "nightjar run --duration 0.3 --events exec --scope tree:$$"),
    (r"nightjar run", None),
    (r"nightjar config check /etc", "nightjar config check {root}/packaging/nightjar.yaml"),
    (r"build/ci/bin/nightjar events", RUN),
    (r"nightjar|openssl|install|echo", RUN),
]


def commands_of(page):
    """(line number, command) of code blocks, continued lines joined."""
    text = page.read_text()
    manual = page.suffix != ".md"
    found = []
    fenced = False
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        if line.startswith("```"):
            fenced = not fenced
            continue
        if manual:
            if not line.startswith(".Dl "):
                continue
            command = line[4:].replace("\\-", "-")
        elif fenced:
            if not line.startswith("$ "):
                continue
            command = re.sub(r"^sudo ", "", line[2:])
        elif re.match(r" {4,}\S", line):
            command = re.sub(r"^sudo ", "", line.strip())
        else:
            continue
        while command.endswith("\\") or command.count("'") % 2:
            number, more = next(lines)
            command = command.removesuffix("\\") + " " + more.strip()
        command = re.split(r" {3,}", command)[0]
        if COMMANDS.match(command) and not SYNOPSIS.search(command):
            found.append((number, command))
    return found


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not AGENT.exists():
            raise unittest.SkipTest("build/ci holds no nightjar: run tools/build ci first")
        if os.geteuid() != 0:
            raise unittest.SkipTest("the commands need root")
        cls.folder = tempfile.TemporaryDirectory(prefix="nightjar-docs-")
        top = Path(cls.folder.name)
        for folder in ("docs", "build/ci/bin", "etc/nightjar", "etc/audit/rules.d", "var", "tmp/demo"):
            (top / folder).mkdir(parents=True)
        (top / "build/ci/bin/nightjar").symlink_to(AGENT)
        (top / "Makefile").write_text("all:\n\t@true\n")
        (top / "etc/audit/rules.d/a.rules").write_text("-w /etc/passwd -p wa -k identity\n")
        for atlas in ("all.atlas", "mine.atlas", "fleet.atlas"):
            shutil.copy(ROOT / "data/debian.atlas", top / atlas)
        # The pages say how each is made, and some name one that another page makes.
        for secret in ("elastic.headers", "hec.headers"):
            (top / "etc/nightjar" / secret).write_text("Authorization: none\n")
            (top / "etc/nightjar" / secret).chmod(0o600)
        cls.top = top

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def here(self, command):
        """The command with this test's paths and addresses."""
        # In one go: what is put in place holds such paths itself.
        moved = {"/var/lib/nightjar": f"{self.top}/var"}
        command = re.sub(
            r"(?<![\w/])(/var/lib/nightjar|/(?=etc/nightjar|etc/audit|tmp/nightjar|tmp/demo))",
            lambda found: moved.get(found[1], f"{self.top}/"),
            command,
        )
        # Nobody listens there; what waits stays in the spool, or is lost and told.
        return re.sub(r"(https?|kafka)://[a-z0-9.:,]+/", r"\1://127.0.0.1:9/", command)

    def shell_line(self, command):
        """What is run for it, or the name of the file that runs it."""
        for pattern, what in TABLE:
            if not re.match(pattern, command):
                continue
            if what is None:
                rest = self.here(command).removeprefix("nightjar run ")
                rest = re.sub(r"--duration \S+", "", rest)
                rest = re.sub(r"(--output '[^']*\?[^']*)'", r"\1&drain=0'", rest)
                return SCOPE + ("" if "--events" in rest or "--config" in rest else "--events exec ") + rest
            if "/" in what and "{" not in what and " " not in what:
                return Path(what)
            return what.format(self.here(command), root=ROOT)
        return None

    def test_all(self):
        environment = dict(os.environ, PATH=f"{AGENT.parent}:/usr/sbin:{os.environ['PATH']}")
        ran = set()  # pages repeat each other: once is enough
        for page in PAGES:
            for number, command in commands_of(page):
                with self.subTest(place=f"{page.relative_to(ROOT)}:{number}", command=command):
                    line = self.shell_line(command)
                    self.assertIsNotNone(line, "the table of tests/docs/test_docs.py does not know this command")
                    if isinstance(line, Path):
                        self.assertTrue((ROOT / line).exists(), line)
                        if line.name == "systemd.py":  # takes its commands from that page
                            self.assertEqual(page.name, "quick-start.md")
                        continue
                    if line in ran:
                        continue
                    ran.add(line)
                    for tool in ("make", "openssl"):
                        if re.search(rf"(^| ){tool}( |$)", line) and not shutil.which(tool):
                            self.skipTest(f"no {tool} here")
                    if "jq" in line and not shutil.which("jq"):
                        line = line.split(" | jq")[0]
                    done = subprocess.run(
                        ["bash", "-o", "pipefail", "-c", line],
                        cwd=self.top,
                        env=environment,
                        capture_output=True,
                        text=True,
                        errors="replace",
                        timeout=TIMEOUT_S,
                        check=False,
                    )
                    accepted = (0, 3) if "doctor" in command else (0,)
                    self.assertIn(done.returncode, accepted, f"{line}\n{done.stdout[-500:]}\n{done.stderr[-2000:]}")
        self.assertGreater(len(ran), 20, "hardly a command was found: has the form of the pages changed?")


class Completeness(unittest.TestCase):
    """Nothing that the command knows is missing from manual and completions."""

    def setUp(self):
        if not AGENT.exists():
            self.skipTest("build/ci holds no nightjar: run tools/build ci first")

    def options(self, *command):
        text = subprocess.run([AGENT, *command, "--help"], capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
        return set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", text.stdout))

    def told(self, command):
        """Options that the manual must name: --no-X goes without saying, and so does --help."""
        return sorted(one for one in self.options(command) if one != "help" and not one.startswith("no-"))

    def test_manual_has_every_option(self):
        manual = (ROOT / "docs/man/nightjar.1").read_text().replace("\\-", "-")
        for command in ("watch", "run", "doctor", "events", "import-audit", "report"):
            for option in self.told(command):
                with self.subTest(command=command, option=option):
                    self.assertTrue(re.search(rf"-{re.escape(option)}\b", manual), "not in nightjar.1")

    def test_manual_has_every_key_of_the_configuration(self):
        manual = (ROOT / "docs/man/nightjar.yaml.5").read_text()
        shown = subprocess.run([AGENT, "config", "show"], capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
        keys = re.findall(r"^#? ?([a-z_]+):", shown.stdout, re.MULTILINE)
        self.assertGreater(len(keys), 10, shown.stdout)
        for key in keys:
            with self.subTest(key=key):
                self.assertTrue(key in manual, "not in nightjar.yaml.5")

    def completed(self, *words):
        """What bash offers behind these words."""
        quoted = " ".join(f"'{word}'" for word in words)
        script = (
            f"source {ROOT}/completions/nightjar.bash; compopt() {{ :; }}; COMP_WORDS=({quoted}); "
            f"COMP_CWORD={len(words) - 1}; _nightjar; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        environment = dict(os.environ, PATH=f"{AGENT.parent}:{os.environ['PATH']}")
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, check=True, env=environment, timeout=TIMEOUT_S
        )
        return set(done.stdout.split())

    def test_bash_completes_commands_options_and_events(self):
        self.assertLessEqual({"watch", "run", "doctor", "import-audit", "report", "top"}, self.completed("nightjar", ""))
        for command in ("watch", "run", "report"):
            wanted = {f"--{option}" for option in self.options(command)}
            self.assertEqual(wanted, self.completed("nightjar", command, "--"))
        self.assertIn("connect", self.completed("nightjar", "watch", "--events", "conn"))
        self.assertEqual({"exec,accept"}, self.completed("nightjar", "watch", "--events", "exec,acc"))
        self.assertEqual({"check", "show"}, self.completed("nightjar", "config", ""))
        listed = subprocess.run([AGENT, "atlas", "--help"], capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
        atlas = set(re.findall(r"^  ([a-z]+) ", listed.stdout.partition("Subcommands:")[2], re.MULTILINE))
        self.assertEqual(atlas, self.completed("nightjar", "atlas", ""))

    def offered(self, command):
        with tempfile.TemporaryDirectory() as home:  # fish makes folders there
            environment = dict(os.environ, PATH=f"{AGENT.parent}:{os.environ['PATH']}", HOME=home)
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=TIMEOUT_S)
        return {line.split("\t")[0].removesuffix(" ") for line in done.stdout.splitlines() if line}

    def completed_by_fish(self, *words):
        line = " ".join(words)
        return self.offered(["fish", "--no-config", "-c", f"source {ROOT}/completions/nightjar.fish; complete -C '{line}'"])

    def completed_by_zsh(self, *words):
        quoted = " ".join(f"'{word}'" for word in words)
        # What the completion system would do with it: keep what begins as the word does.
        script = (
            f"compadd() {{ while [[ $1 != -- ]] {{ shift }}; shift; print -rl -- ${{(M)@:#$words[CURRENT]*}} }}; "
            f"compset() {{ : }}; words=({quoted}); CURRENT={len(words)}; source {ROOT}/completions/_nightjar"
        )
        return self.offered(["zsh", "-f", "-c", script])

    def test_shells_complete_alike(self):
        tiers = subprocess.run(
            [AGENT, "watch", "--program-tier", "?", "--", "true"], capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
        known = set(re.findall(r"[a-z]+", re.search(r"expected (.*) \(", tiers.stderr)[1])) - {"or"}
        self.assertEqual(known, self.completed("nightjar", "watch", "--program-tier", ""))
        watch = ("nightjar", "watch")
        for words in (
            ("nightjar", ""),
            (*watch, "--"),
            ("nightjar", "report", "--"),
            ("nightjar", "atlas", ""),
            ("nightjar", "config", ""),
            *((*watch, option, "") for option in ("--format", "--output", "--scope", "--transport", "--program-tier")),
            (*watch, "--events", "conn"),
        ):
            for shell, completed in (("fish", self.completed_by_fish), ("zsh", self.completed_by_zsh)):
                with self.subTest(shell=shell, words=words):
                    if not shutil.which(shell):
                        self.skipTest(f"no {shell} here")
                    self.assertEqual(self.completed(*words), completed(*words))

    def test_pages_lead_to_pages_that_are_there(self):
        for page in PAGES:
            if page.suffix != ".md":
                continue
            for target in re.findall(r"\]\(([^)#: ]+)(?:#[^)]*)?\)", page.read_text()):
                with self.subTest(page=page.name, target=target):
                    self.assertTrue((page.parent / target).exists())


if __name__ == "__main__":
    unittest.main()
