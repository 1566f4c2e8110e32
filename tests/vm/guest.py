# SPDX-License-Identifier: Apache-2.0
"""The guest: an initramfs made of this machine's programs, and one run of QEMU with it."""

import base64
import binascii
import io
import os
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Real programs beside busybox's: the shells of #! lines, and what makes namespaces and users. /bin/sh is what it is on
# this machine: busybox's shell runs `cat` as an execution of itself, and the tests are those that also run natively.
HOST_TOOLS = """
    sh bash dash unshare nsenter setpriv setsid prlimit taskset flock mount umount
    true false echo cat sleep env id printf ls stat touch mkdir rmdir cp mv rm ln chmod chown readlink head tail wc seq
    sort tr timeout nohup chroot kill mknod mkfifo dd sync uname date
    mkfs.ext4 mkfs.xfs mkfs.btrfs
""".split()
# Opened by name at run time, so that ldd does not show it: pthread_exit and pthread_cancel need it.
HOST_LIBRARIES = ["libgcc_s.so.1"]
LIBRARY_FOLDERS = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"]

NOT_TESTS = re.compile(r"(^|/)(CMakeFiles|Testing)/|\.(a|cmake|ninja|d|json\.tmp)$|(^|/)(Makefile|\.ninja_\w+)$")

ETC = {
    "passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
        "tester:x:1000:1000:tester:/home/tester:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
    ),
    "group": "root:x:0:\ndaemon:x:1:\ntty:x:5:\ntester:x:1000:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "hostname": "nightjar-guest\n",
    "machine-id": "6e696768746a61726775657374000001\n",
    "os-release": 'ID=nightjar-guest\nNAME="nightjar test guest"\nVERSION_ID="1"\n',
}


class Cpio:
    """An archive in the newc format. Parents are made by themselves."""

    def __init__(self, stream):
        self.stream = stream
        self.inode = 0
        self.names = set()

    def add(self, name, mode, data=b"", device=(0, 0), owner=(0, 0)):
        name = name.strip("/")
        if name in self.names:
            return
        parent = os.path.dirname(name)
        if parent and parent not in self.names:
            self.add(parent, stat.S_IFDIR | 0o755)
        self.names.add(name)
        self.inode += 1
        self.entry(name, self.inode, mode, data, device, owner)

    def entry(self, name, inode, mode, data, device=(0, 0), owner=(0, 0)):
        encoded = os.fsencode(name) + b"\0"
        fields = (inode, mode, *owner, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % f for f in fields)
        self.stream.write(header + encoded + b"\0" * (-(len(header) + len(encoded)) % 4))
        self.stream.write(data)
        self.stream.write(b"\0" * (-len(data) % 4))

    def file(self, name, data, mode=0o644):
        self.add(name, stat.S_IFREG | mode, data)

    def folder(self, name, mode=0o755, owner=(0, 0)):
        self.add(name, stat.S_IFDIR | mode, owner=owner)

    def link(self, name, target):
        self.add(name, stat.S_IFLNK | 0o777, os.fsencode(target))

    def close(self):
        self.entry("TRAILER!!!", 0, 0, b"")
        # Archives follow each other in an initramfs; each must begin at a multiple of four bytes.
        self.stream.write(b"\0" * (-self.stream.tell() % 512))


def merged(path):
    """Where a file is on a machine with merged /usr, as the guest is."""
    return re.sub(r"^/(bin|sbin|lib|lib64)/", r"/usr/\1/", os.path.normpath(path))


def libraries(path):
    """The shared libraries of a program, as the loader finds them here."""
    listed = subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return re.findall(r"(?:=> |^\t)(/\S+) \(0x", listed.stdout.decode("utf-8", "replace"), re.M)


def is_elf(data):
    return data[:4] == b"\x7fELF"


def is_program(data):
    """An executable or a shared object for this machine, not an object file and not BPF."""
    return is_elf(data) and data[16] in (2, 3) and data[18:20] == b"\x3e\x00"


def without_debug_info(path, data):
    if len(data) < 1 << 18 or not is_program(data) or not shutil.which("strip"):
        return data
    with tempfile.NamedTemporaryFile(prefix="nightjar-strip.") as out:
        done = subprocess.run(["strip", "-g", "-o", out.name, path], stderr=subprocess.DEVNULL, check=False)
        stripped = Path(out.name).read_bytes()
        return stripped if done.returncode == 0 and stripped else data


class Base:
    """The part of the initramfs that all kernels share."""

    def __init__(self, stream):
        self.cpio = Cpio(stream)
        self.needed = {}  # library: where it is here

    def skeleton(self, busybox):
        cpio = self.cpio
        for name in ("bin", "sbin", "lib", "lib64"):
            cpio.folder(f"usr/{name}")
            cpio.link(name, f"usr/{name}")
        for name in ("proc", "sys", "dev", "run", "etc", "mnt", "opt", "var/tmp", "newroot", "out", "lib/modules"):
            cpio.folder(merged("/" + name))
        cpio.folder("root", 0o700)
        cpio.folder("tmp", 0o1777)
        cpio.folder("home/tester", 0o755, (1000, 1000))
        cpio.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        cpio.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
        for name, text in ETC.items():
            cpio.file(f"etc/{name}", text.encode())
        cpio.file("init", (HERE / "init.sh").read_bytes(), 0o755)
        for tool in HOST_TOOLS:
            path = shutil.which(tool)
            if path and "busybox" not in os.path.realpath(path):
                self.program(path, os.path.realpath(path) if os.path.basename(path) == tool else path)
                if os.path.basename(os.path.realpath(path)) != tool:
                    cpio.link(f"usr/bin/{tool}", os.path.realpath(path))
        cpio.file("usr/bin/busybox", Path(busybox).read_bytes(), 0o755)
        for applet in subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True).stdout.decode().split():
            if applet != "busybox" and f"usr/sbin/{applet}" not in cpio.names:
                cpio.link(f"usr/bin/{applet}", "busybox")
        for name in HOST_LIBRARIES:
            for folder in LIBRARY_FOLDERS:
                if os.path.exists(f"{folder}/{name}"):
                    self.needed[f"{folder}/{name}"] = f"{folder}/{name}"
                    break

    def program(self, path, target):
        mode = 0o755 if os.access(path, os.X_OK) else 0o644
        data = Path(path).read_bytes()
        self.cpio.file(merged(target), data, mode)
        if is_program(data):
            for library in libraries(path):
                self.needed[library] = library

    def build_file(self, path, target):
        if os.path.islink(path) and not os.path.exists(path):
            return
        data = Path(path).read_bytes()
        mode = stat.S_IMODE(os.stat(path).st_mode) | 0o444
        if mode & 0o111:
            mode |= 0o111
        if is_program(data):
            for library in libraries(path):
                self.needed[library] = library
            data = without_debug_info(path, data)
        self.cpio.file(merged(target), data, mode)

    def tree(self, folder, target):
        if Path(folder).is_file():
            self.build_file(str(folder), target)
            return
        for path in sorted(Path(folder).rglob("*")):
            relative = str(path.relative_to(folder))
            if path.is_file() and not NOT_TESTS.search(relative):
                self.build_file(str(path), f"{target}/{relative}")

    def close(self):
        for path in sorted(self.needed):
            data = Path(path).read_bytes()
            self.cpio.file(merged(path), data, 0o755)
            if os.path.dirname(path) not in LIBRARY_FOLDERS:
                self.cpio.file(f"usr/lib/x86_64-linux-gnu/{os.path.basename(path)}", data, 0o755)
        self.cpio.close()


def write_base(target, build, busybox, extra=()):
    with open(target, "wb") as stream:
        base = Base(stream)
        base.skeleton(busybox)
        if build:
            for name in ("bin", "tests"):
                if (Path(build) / name).is_dir():
                    base.tree(Path(build) / name, f"/nightjar/{name}")
        for path, where in extra:
            base.tree(path, where)
        base.close()
    return os.path.getsize(target)


def overlay(stream, kernel_folder, load, scripts):
    """The part for one boot: the kernel's modules, and what to run: [(limit in seconds, script text)]."""
    cpio = Cpio(stream)
    for name in load:
        # lib is a link in the base; what is written here must name the folder itself.
        cpio.file(f"usr/lib/modules/{name}", (Path(kernel_folder) / "modules" / name).read_bytes())
    cpio.file("etc/modules.load", "".join(f"{name}\n" for name in load).encode())
    cpio.file("plan/list", "".join(f"{n} {limit}\n" for n, (limit, _) in enumerate(scripts)).encode())
    for number, (_, text) in enumerate(scripts):
        cpio.file(f"plan/{number}", text.encode(), 0o755)
    cpio.close()


# ----------------------------------------------------------------------------------------------------------- results


@dataclass
class StepResult:
    """What became of one script."""

    begun: bool = False
    status: int = None  # None: it did not end
    seconds: float = 0.0
    files: dict = field(default_factory=dict)  # what it left in /out/NUMBER
    output: str = ""


class Frames:
    """Reads what init.sh writes to the second serial port, as it comes."""

    def __init__(self, count):
        self.steps = [StepResult() for _ in range(count)]
        self.ready = None  # seconds from the kernel's start
        self.release = ""
        self.done = False
        self.rest = b""
        self.encoded = None
        self.started = 0.0
        self.current = None  # number of the step that is running

    def feed(self, data):
        """Returns the frames that are complete now: [(kind, number)]."""
        self.rest += data
        news = []
        while b"\n" in self.rest:
            line, self.rest = self.rest.split(b"\n", 1)
            frame = self.line(line.decode("utf-8", "replace").strip())
            if frame:
                news.append(frame)
        return news

    def line(self, text):
        if self.encoded is not None:
            if text == ".":
                self.unpack()
                return None
            self.encoded[1].append(text)
            return None
        words = text.split()
        kind = words[0] if words else ""
        try:
            if kind == "READY":
                self.ready, self.release = float(words[1]), words[2]
                return kind, None
            if kind == "DONE":
                self.done = True
                return kind, None
            if kind not in ("BEGIN", "FILES", "END") or int(words[1]) >= len(self.steps):
                return None
            number = int(words[1])
            step = self.steps[number]
            if kind == "BEGIN":
                step.begun, self.started, self.current = True, float(words[2]), number
            elif kind == "FILES":
                self.encoded = (number, [])
            elif kind == "END":
                step.status, step.seconds, self.current = int(words[2]), float(words[3]) - self.started, None
            return kind, number
        except (IndexError, ValueError):
            return None

    def unpack(self):
        number, lines = self.encoded
        self.encoded = None
        try:
            packed = io.BytesIO(base64.b64decode("".join(lines)))
            with tarfile.open(fileobj=packed, mode="r:gz") as archive:
                for member in archive.getmembers():
                    if member.isfile():
                        self.steps[number].files[os.path.normpath(member.name)] = archive.extractfile(member).read()
        except (binascii.Error, tarfile.TarError, OSError, EOFError) as error:
            self.steps[number].files["unreadable"] = str(error).encode()


def split_output(data, count):
    """The third serial port's text by step; init.sh puts marks around each."""
    outputs = [""] * count
    for found in re.finditer(rb"\036BEGIN (\d+)\n(.*?)(?:\n\036END \1\n|\Z)", data, re.S):
        if int(found[1]) < count:
            outputs[int(found[1])] = found[2].decode("utf-8", "replace")
    return outputs


# --------------------------------------------------------------------------------------------------------------- QEMU

QEMU = "qemu-system-x86_64"


@dataclass
class Machine:
    """How a guest is made. Never KVM: tests are to run where it is absent or of no use."""

    cpus: int = 2
    memory_mb: int = 1024
    kernel_options: str = ""  # more of its command line

    @property
    def boot_limit(self):
        """Seconds from QEMU's start. All processors are emulated by those that are here, and each must come up."""
        return 180 + 15 * max(0, self.cpus - 2)

    def command(self, kernel, initrd, folder):
        append = "console=ttyS0 quiet panic=-1 oops=panic mitigations=off no_timer_check nowatchdog random.trust_cpu=on"
        if self.kernel_options:
            append += " " + self.kernel_options
        # If we are killed, so is the guest.
        leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        return [
            *leash,
            *(QEMU, "-accel", "tcg,thread=multi", "-M", "q35", "-cpu", "max"),
            *("-smp", str(self.cpus), "-m", str(self.memory_mb)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-serial", f"file:{folder}/console", "-serial", f"file:{folder}/frames"),
            *("-serial", f"file:{folder}/output"),
            *("-kernel", str(kernel), "-initrd", str(initrd), "-append", append),
        ]


@dataclass
class BootResult:
    frames: Frames
    console: str
    problem: str = ""  # why it did not come to its end
    seconds: float = 0.0
    ready_seconds: float = 0.0  # from QEMU's start


class Tail:
    """Reads a file that grows."""

    def __init__(self, path):
        self.path = path
        self.stream = None

    def read(self):
        if self.stream is None:
            try:
                self.stream = open(self.path, "rb")
            except FileNotFoundError:
                return b""
        return self.stream.read()

    def close(self):
        if self.stream:
            self.stream.close()


running = set()  # QEMU's processes
stopped = False


def stop_all():
    """Ends every guest, and lets no other begin."""
    global stopped
    stopped = True
    for process in list(running):
        process.kill()


def boot(kernel_folder, load, base, scripts, folder, machine=None, boot_limit=0, on_frame=None, on_output=None):
    """Runs the scripts [(limit, text)] in one guest. `folder` gets the raw files."""
    machine = machine or Machine()
    boot_limit = boot_limit or machine.boot_limit
    folder = Path(folder)
    initrd = folder / "initrd"
    with open(initrd, "wb") as stream:
        with open(base, "rb") as source:
            shutil.copyfileobj(source, stream, 1 << 20)
        overlay(stream, kernel_folder, load, scripts)
    frames = Frames(len(scripts))
    if stopped:
        return BootResult(frames, "", "interrupted")
    started = time.monotonic()
    errors = open(folder / "qemu.err", "wb")
    process = subprocess.Popen(
        machine.command(Path(kernel_folder) / "vmlinuz", initrd, folder),
        stdin=subprocess.DEVNULL,
        stdout=errors,
        stderr=errors,
    )
    running.add(process)
    tails = {name: Tail(folder / name) for name in ("frames", "output")}
    output = bytearray()
    problem, ready_seconds = "", 0.0
    deadline = started + boot_limit
    try:
        while True:
            ended = process.poll() is not None  # before reading, so that the last bytes are read
            for frame in frames.feed(tails["frames"].read()):
                now = time.monotonic()
                if frame[0] == "READY":
                    ready_seconds = now - started
                # The guest ends a script at its limit by itself; this is for a guest that cannot any more.
                deadline = now + (scripts[frame[1]][0] + 60 if frame[0] == "BEGIN" else 60)
                if on_frame:
                    on_frame(frame, frames)
            new = tails["output"].read()
            output += new
            if new and on_output:
                on_output(new)
            if ended:
                if not frames.done:
                    problem = "the guest stopped" if process.returncode == 0 else f"QEMU ended: {process.returncode}"
                break
            if time.monotonic() > deadline:
                problem = "the guest hangs" if frames.ready else f"the guest did not boot in {boot_limit} s"
                break
            time.sleep(0.05)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        running.discard(process)
        errors.close()
        for tail in tails.values():
            tail.close()
        initrd.unlink()
    for step, text in zip(frames.steps, split_output(bytes(output), len(scripts))):
        step.output = text
    console = (folder / "console").read_text("utf-8", "replace") if (folder / "console").exists() else ""
    console = console.replace("\r", "") + (folder / "qemu.err").read_text("utf-8", "replace")
    return BootResult(frames, console, problem, time.monotonic() - started, ready_seconds)
