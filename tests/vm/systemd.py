#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots Debian with systemd in a guest and walks through docs/quick-start.md there, word by word: the package is installed
with apt, the service started, events are looked for in the journal, the configuration reloaded, the package purged, and
what is left behind is listed. Needs mmdebstrap, QEMU, the packages (packaging/build-deb) and a kernel that tests/vm/run.py
has fetched. Takes some minutes, so ./test leaves it out."""

import argparse
import io
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(ROOT / "tests/docs"))

import fetch  # noqa: E402
import guest  # noqa: E402
from test_docs import commands_of  # noqa: E402

SUITE = "bookworm"
TOOLS = ["systemd-sysv", "dbus", "procps", "jq"]
LEFT_OUT = ["/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/zoneinfo/*", "/usr/share/info/*"]
# Needs compilers: done before, outside.
OUTSIDE = ("apt-get update", "apt-get build-dep", "packaging/build-deb")

CHECK = r"""#!/bin/bash
exec >/dev/ttyS1 2>&1 </dev/null
cd /root
export HOME=/root DEBIAN_FRONTEND=noninteractive
failed=0
check() {  # NAME COMMAND: says what came of it
  local started=$SECONDS
  if bash -o pipefail -c "$2" >/tmp/output 2>&1; then
    echo "ok    $1 ($((SECONDS - started)) s)"
  else
    echo "FAIL  $1 (status $?)"
    head -c 2000 /tmp/output
    failed=1
  fi
}
files() {
  find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /root -o -path /var/log/journal -o -path /var/log/apt -o -path /var/log/dpkg.log \
    -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/lib/systemd -o -path /var/tmp \) -prune -o -print | sort
}
files >/root/before
@STEPS@
files >/root/after
check "purge leaves nothing" '! comm -13 /root/before /root/after | grep .'
check "no process is left" '! pgrep -x nightjar'
check "no user is left" '! grep nightjar /etc/passwd /etc/group'
if [ $failed = 0 ]; then echo PASSED; else journalctl -u nightjar --no-pager | tail -n 40; echo FAILED; fi
systemctl poweroff --force --force
"""

AFTER_START = [
    ("the service is active", "systemctl is-active nightjar"),
    ("a program runs", "/bin/true; sleep 2"),
    ("its exec is in the journal", "journalctl EVENT_ACTION=exec PROCESS_EXECUTABLE=/usr/bin/true -o json | jq -r .EVENT_ID | grep ."),
    (
        "every event is there once",
        "journalctl -u nightjar -o json | jq -r '.EVENT_ID // empty' | sort >/tmp/ids; "
        "wc -l </tmp/ids; test -s /tmp/ids && ! uniq -d /tmp/ids | grep .",
    ),
    ("no event was lost", "! journalctl EVENT_ACTION=events_lost -o cat | grep ."),
    (
        "the journal does not feed itself",
        "! journalctl EVENT_ACTION=truncate PROCESS_EXECUTABLE=/usr/lib/systemd/systemd-journald -o cat | grep .",
    ),
    ("the package's own test", "sh /root/autopkgtest"),
    ("man pages are there", "ls /usr/share/man/man1/nightjar.1.gz /usr/share/man/man5/nightjar.yaml.5.gz"),
]
AFTER_RELOAD = [
    ("the configuration was taken over", "sleep 1; journalctl -u nightjar | grep 'took over the configuration'"),
    ("the service went on", "systemctl is-active nightjar"),
]

UNIT = """[Unit]
Description=The walk through the quick start
[Service]
Type=oneshot
ExecStart=/root/check
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
"""


# Under emulation the kernel checks the programs twenty times more slowly.
PATIENCE = """[Service]
TimeoutStartSec=900
WatchdogSec=300
"""


def steps():
    """The commands of the quick start, with what must hold after some of them."""
    found = []
    for _, command in commands_of(ROOT / "docs/quick-start.md"):
        if command.startswith(OUTSIDE):
            continue
        if command.startswith("apt-get install"):
            command = command.replace("apt-get install", "apt-get install --no-install-recommends")
        found.append((command, command))
        if command == "systemctl start nightjar":
            found += AFTER_START
        if command == "systemctl reload nightjar":
            found += AFTER_RELOAD
    return found


def shell_quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def root_file_system(packages, cache):
    """A cpio of Debian with what the packages need."""
    depends = set()
    for package in packages:
        listed = subprocess.run(["dpkg-deb", "-f", package, "Depends"], capture_output=True, text=True, check=True).stdout
        depends |= {re.split(r"[ |]", one.strip())[0] for one in listed.split(",") if one.strip()}
    wanted = sorted(depends - {p.name.split("_")[0] for p in packages} | set(TOOLS))
    archive = cache / f"systemd-{SUITE}.cpio"
    marker = cache / f"systemd-{SUITE}.packages"
    if archive.exists() and marker.exists() and marker.read_text() == " ".join(wanted):
        return archive
    sources = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")]
    with tempfile.TemporaryDirectory() as folder:
        tar = Path(folder) / "root.tar"
        command = ["mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(wanted)}"]
        command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
        subprocess.run([*command, SUITE, tar, *sources], check=True)
        with open(archive, "wb") as stream, tarfile.open(tar) as packed:
            cpio = guest.Cpio(stream)
            links = {}
            for member in packed:
                name = member.name.removeprefix("./").strip("/")
                if not name or name == ".":
                    continue
                owner = (member.uid, member.gid)
                if member.isdir():
                    cpio.add(name, stat.S_IFDIR | member.mode, owner=owner)
                elif member.issym():
                    cpio.link(name, member.linkname)
                elif member.islnk():  # a second copy: cpio's hard links need both at once
                    cpio.add(name, *links[member.linkname.removeprefix("./")], owner=owner)
                elif member.isfile():
                    content = packed.extractfile(member).read()
                    links[name] = (stat.S_IFREG | member.mode, content)
                    cpio.add(name, stat.S_IFREG | member.mode, content, owner=owner)
                elif member.ischr():
                    device = (member.devmajor, member.devminor)
                    cpio.add(name, stat.S_IFCHR | member.mode, device=device, owner=owner)
            cpio.close()
    marker.write_text(" ".join(wanted))
    return archive


def overlay(stream, packages):
    cpio = guest.Cpio(stream)
    lines = [f"check {shell_quoted(name)} {shell_quoted(command)}" for name, command in steps()]
    cpio.file("root/check", CHECK.replace("@STEPS@", "\n".join(lines)).encode(), 0o755)
    for package in packages:
        cpio.file(f"root/build/packages/{package.name}", package.read_bytes())
    cpio.file("root/autopkgtest", (ROOT / "debian/tests/watch").read_bytes(), 0o755)
    cpio.file("etc/systemd/system/nightjar-check.service", UNIT.encode())
    cpio.link("etc/systemd/system/multi-user.target.wants/nightjar-check.service", "../nightjar-check.service")
    cpio.file("etc/systemd/system/nightjar.service.d/patience.conf", PATIENCE.encode())
    cpio.file("etc/hostname", b"nightjar-guest\n")
    cpio.close()


def walk(kernel, base, packages, limit, folder):
    initrd = folder / "initrd"
    with open(initrd, "wb") as stream:
        with open(base, "rb") as source:
            shutil.copyfileobj(source, stream, 1 << 20)
        stream.write(b"\0" * (-stream.tell() % 512))
        overlay(stream, packages)
    command = guest.Machine(memory_mb=2048).command(kernel / "vmlinuz", initrd, folder)
    command[-1] += " rdinit=/sbin/init systemd.show_status=0"
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    tail = guest.Tail(folder / "frames")
    output = io.StringIO()
    deadline = time.monotonic() + limit
    try:
        while True:
            ended = process.poll() is not None
            text = tail.read().decode("utf-8", "replace").replace("\r", "")
            output.write(text)
            print(text, end="", flush=True)
            if ended:
                break
            if time.monotonic() > deadline:
                print(f"FAILED: the guest did not end in {limit} s")
                break
            time.sleep(0.2)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        tail.close()
    passed = "\nPASSED\n" in output.getvalue()
    if not passed:
        print((folder / "console").read_text("utf-8", "replace")[-3000:], file=sys.stderr)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", default="6.1", help="one of kernels.ini; default: 6.1")
    parser.add_argument("--limit", type=int, default=1200, help="seconds; default: 1200")
    options = parser.parse_args()
    packages = sorted((ROOT / "build/packages").glob("nightjar_*.deb"))
    if not packages:
        sys.exit("systemd.py: no build/packages/nightjar_*.deb: run packaging/build-deb first")
    for tool in ("mmdebstrap", guest.QEMU):
        if not shutil.which(tool):
            sys.exit(f"systemd.py: no {tool} here: apt-get install mmdebstrap qemu-system-x86")
    cache = fetch.cache_folder()
    kernel = cache / options.kernel
    if not (kernel / "vmlinuz").exists():
        sys.exit(f"systemd.py: kernel {options.kernel} is not in {cache}: tests/vm/run.py --kernel {options.kernel} fetches it")
    base = root_file_system(packages, cache)
    with tempfile.TemporaryDirectory(prefix="nightjar-systemd-") as folder:
        sys.exit(0 if walk(kernel, base, packages, options.limit, Path(folder)) else 1)


if __name__ == "__main__":
    main()
