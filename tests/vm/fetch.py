#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fetches the kernels of kernels.ini with apt, from the Debian archive that this machine's own sources name.

A private apt configuration is derived from the machine's: its archive and keyring with other suite names. Nothing of
the machine's own apt state is changed, nothing is installed, no root is needed. A cached kernel costs no network.
"""

import argparse
import fcntl
import glob
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import kernels as kernel_list  # noqa: E402

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CODENAMES = "bullseye bookworm trixie forky duke sid unstable testing stable oldstable".split()
ATTEMPTS = 3
FORMAT = 1  # of the cache


class Unavailable(Exception):
    """Debian kernels cannot be had on this machine at all: the matrix is skipped."""


class FetchError(Exception):
    """They should be had, but something went wrong."""


# ------------------------------------------------------------------------------------------------ the machine's sources


@dataclass
class Source:
    uris: list
    suites: list
    components: list
    signed_by: str = ""
    trusted: bool = False


def parse_one_line(text):
    """sources.list: `deb [option=value ...] URI SUITE COMPONENT...`"""
    sources = []
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        found = re.match(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<rest>.*)$", line)
        if not found or found["uri"].startswith("cdrom"):
            continue
        options = dict(o.split("=", 1) for o in (found["options"] or "").split() if "=" in o)
        options = {name.lower().rstrip("+"): value for name, value in options.items()}
        sources.append(
            Source([found["uri"]], [found["suite"]], found["rest"].split(), options.get("signed-by", "").strip())
        )
    return sources


def parse_deb822(text):
    """*.sources: stanzas of `Field: value`, values continued by a leading space."""
    sources = []
    for stanza in re.split(r"\n[ \t]*\n", "\n".join(l for l in text.splitlines() if not l.startswith("#"))):
        fields, name = {}, ""
        for line in stanza.splitlines():
            if line[:1] in " \t" and name:
                fields[name] += "\n" + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        sources.append(
            Source(
                fields.get("uris", "").split(),
                fields.get("suites", "").split(),
                fields.get("components", "").split(),
                fields.get("signed-by", ""),
            )
        )
    return sources


def machine_sources(root="/"):
    apt = Path(root) / "etc/apt"
    sources = []
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".list":
            sources += parse_one_line(text)
        elif path.suffix == ".sources":
            sources += parse_deb822(text)
    return sources


def is_debian_suite(suite):
    return suite.split("-")[0].split("/")[0] in CODENAMES


@dataclass
class Archive:
    """Where Debian is, as the machine's own sources have it."""

    main: list  # URIs
    security: list
    keyring: str


def find_archive(sources, keyring_exists=os.path.exists):
    """Raises Unavailable when no source is Debian's.

    Others name their suites after Debian's too, so the keyring decides where it is named, and else the URI's look. A
    wrong guess does no harm: what is fetched must be signed by Debian's keys.
    """

    def score(source):
        if "main" not in source.components or not any(is_debian_suite(s) for s in source.suites):
            return 0
        if "debian-archive" in source.signed_by:
            return 3
        if source.signed_by:
            return 0
        return 2 if any(re.search(r"/debian(-security)?/?$", uri) for uri in source.uris) else 1

    def is_security(source):
        return any(re.search(r"-security$|/updates$", s) for s in source.suites) and (
            not any(is_debian_suite(s) and "-" not in s and "/" not in s for s in source.suites)
        )

    best = {}
    for source in sources:
        points = score(source)
        kind = "security" if is_security(source) else "main"
        if points > best.get(kind, (0, None))[0] and source.uris:
            best[kind] = (points, source)
    if "main" not in best:
        raise Unavailable("this machine's apt sources are not Debian's, so Debian kernels cannot be had here")
    main = best["main"][1]
    keyring = next((k for k in (main.signed_by, KEYRING) if k.startswith("/") and keyring_exists(k)), None)
    if not keyring:
        raise Unavailable("there is no keyring of the Debian archive here (the package debian-archive-keyring has it)")
    return Archive(main.uris, best["security"][1].uris if "security" in best else [], keyring)


def private_sources(archive, suites):
    """The text of a *.sources file: the machine's archive, our suites. Suites that have no archive are left out."""
    stanzas = []
    for uris, chosen in (
        (archive.main, [s for s in suites if not s.endswith("-security")]),
        (archive.security, [s for s in suites if s.endswith("-security")]),
    ):
        for suite in chosen:
            if uris:
                stanzas.append(
                    f"Types: deb\nURIs: {' '.join(uris)}\nSuites: {suite}\nComponents: main\n"
                    f"Architectures: amd64\nSigned-By: {archive.keyring}\n"
                )
    return "\n".join(stanzas)


# ------------------------------------------------------------------------------------------------------------- apt


def without_hosts(text):
    """apt's messages for people, without the machine's mirror in them: they end in logs."""
    return re.sub(r"\b[\w+]+://[^\s'\"]+|\[IP: [^\]]*\]", "ARCHIVE", text)


class Apt:
    """apt-get and apt-cache with a state, a cache and sources of their own. The rest (proxies) is the machine's."""

    def __init__(self, folder, sources_text):
        self.folder = Path(folder)
        self.folder.chmod(0o755)  # apt's own user must get in
        for name in ("state/lists/partial", "cache/archives/partial", "sources", "empty"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "status").touch()
        (self.folder / "sources/debian.sources").write_text(sources_text, encoding="utf-8")
        settings = {
            "Dir::State": self.folder / "state",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self.folder / "sources",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": self.folder / "empty",
            "APT::Architecture": "amd64",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Acquire::http::Timeout": "30",
            "Acquire::https::Timeout": "30",
            "Acquire::Check-Valid-Until": "false",  # archived suites are not signed anew
        }
        # The machine's hooks must not run on our behalf.
        lines = [f"#clear {hook};" for hook in ("APT::Update::Pre-Invoke", "APT::Update::Post-Invoke")]
        lines += ["#clear APT::Update::Post-Invoke-Success;", "#clear APT::Architectures;"]
        lines += [f'{name} "{value}";' for name, value in settings.items()]
        self.config = self.folder / "apt.conf"
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def run(self, tool, *arguments, cwd=None):
        return subprocess.run(
            [tool, "-c", str(self.config), *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive"),
            check=False,
        )

    def update(self):
        """A suite that is gone is no error here: whether a package is missing shows later."""
        for attempt in range(ATTEMPTS):
            result = self.run("apt-get", "update")
            problems = [without_hosts(l) for l in result.stdout.splitlines() if re.match(r"(E|W|Err)[: ]", l)]
            temporary = re.search(r"^E:.*(Temporary failure|Failed to fetch|Could not|timed out)", result.stdout, re.M)
            if result.returncode == 0 and not temporary:
                return []
            if not temporary and re.search(r"does not have a Release file", result.stdout):
                return problems
            time.sleep(2 * 2**attempt)
        return problems

    def packages(self, prefix, matches):
        """[(name, version)] of every version of the packages whose name matches."""
        names = [n for n in self.run("apt-cache", "pkgnames", prefix).stdout.split() if matches(n)]
        found = []
        if names:
            for stanza in self.run("apt-cache", "show", *sorted(names)).stdout.split("\n\n"):
                fields = dict(re.findall(r"^(Package|Version|Depends|Size): (.*)$", stanza, re.M))
                if "Version" in fields:
                    found.append(fields)
        return found

    def download(self, wanted, folder):
        """wanted: NAME=VERSION ..."""
        for attempt in range(ATTEMPTS):
            result = self.run("apt-get", "download", *wanted, cwd=folder)
            if result.returncode == 0:
                return
            time.sleep(2 * 2**attempt)
        errors = [without_hosts(l) for l in result.stdout.splitlines() if l.startswith(("E:", "W:", "Err"))]
        raise FetchError("apt-get download failed: " + "; ".join(errors))


def newer(a, b):
    return subprocess.run(["dpkg", "--compare-versions", a, "gt", b], check=False).returncode == 0


def choose(packages):
    best = None
    for package in packages:
        if best is None or newer(package["Version"], best["Version"]):
            best = package
    return best


def with_parts(apt, image):
    """Since 6.19 the image package is empty and depends on the one with the kernel and on the one with the modules.

    Returns the stanzas to download, and the names of those that the archive no longer has.
    """
    parts = re.findall(r"\b(linux-(?:binary|modules|image)-[^\s,(|]*)(?: \(= ([^)]*)\))?", image.get("Depends", ""))
    chosen, missing = [image], []
    for name, version in parts:
        found = [p for p in apt.packages(name, lambda n, name=name: n == name) if version in ("", p["Version"])]
        if found:
            chosen.append(found[0])
        else:
            missing.append(name)
    return chosen, missing


# ----------------------------------------------------------------------------------------------------------- unpacking


def module_name(path):
    return re.sub(r"\.ko(\.(xz|zst|gz))?$", "", os.path.basename(path)).replace("-", "_")


def read_module(path):
    path = str(path)
    if path.endswith(".xz"):
        return lzma.decompress(Path(path).read_bytes())
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-qdc", path], stdout=subprocess.PIPE, check=True).stdout
    return Path(path).read_bytes()


def module_depends(image):
    """From .modinfo, whose entries are NAME=VALUE strings."""
    found = re.search(rb"(?:^|\0)depends=([^\0]*)\0", image)
    return [name.replace("-", "_") for name in found[1].decode().split(",") if name] if found else []


def collect_modules(tree, wanted, target):
    """Copies modules and what they depend on, decompressed; returns their file names in loading order."""
    files = {module_name(p): p for p in glob.glob(f"{tree}/**/*.ko*", recursive=True)}
    builtin = set()
    for path in glob.glob(f"{tree}/**/modules.builtin", recursive=True):
        builtin |= {module_name(line) for line in Path(path).read_text(encoding="utf-8").split()}
    order, seen = [], set()

    def add(name):
        if name in seen or name in builtin:
            return
        seen.add(name)
        if name not in files:
            raise FetchError(f"the package has no module {name}")
        image = read_module(files[name])
        for other in module_depends(image):
            add(other)
        (Path(target) / f"{name}.ko").write_bytes(image)
        order.append(f"{name}.ko")

    for name in wanted:
        add(name.replace("-", "_"))
    return order


def unpack(kernel, debs, folder):
    """Leaves vmlinuz, config and modules in `folder`."""
    with tempfile.TemporaryDirectory(dir=folder) as tree:
        for deb in debs:
            subprocess.run(["dpkg-deb", "-x", deb, tree], check=True, stdout=subprocess.DEVNULL)
        images = glob.glob(f"{tree}/boot/vmlinuz-*") + glob.glob(f"{tree}/usr/lib/modules/*/vmlinuz")
        if not images:
            raise FetchError(f"no vmlinuz in {' '.join(os.path.basename(d) for d in debs)}")
        shutil.copy(images[0], folder / "vmlinuz")
        for path in glob.glob(f"{tree}/boot/config-*") + glob.glob(f"{tree}/usr/lib/modules/*/config"):
            shutil.copy(path, folder / "config")
        (folder / "modules").mkdir()
        return collect_modules(tree, kernel.modules, folder / "modules")


# --------------------------------------------------------------------------------------------------------------- cache


def cache_folder():
    base = os.environ.get("NIGHTJAR_CACHE")
    if base:
        return Path(base) / "kernels"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "nightjar" / "kernels"


def cached(kernel, cache):
    """What kernel.json says, or None if there is no complete image with the modules wanted."""
    try:
        record = json.loads((cache / kernel.image / "kernel.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    folder = cache / kernel.image
    complete = (folder / "vmlinuz").is_file() and all((folder / "modules" / m).is_file() for m in record["load"])
    right = record.get("format") == FORMAT and record.get("modules") == list(kernel.modules)
    return record if complete and right and kernel.package.fullmatch(record["package"]) else None


def size_of(folder):
    return sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())


def fetch_one(apt, kernel, cache, old, say):
    candidates = apt.packages("linux-image-", kernel.package.fullmatch)
    image = choose(candidates)
    if image is None:
        raise FetchError(f"no package {kernel.package.pattern} in {' '.join(kernel.suites)}")
    if old and old["package"] == image["Package"] and old["version"] == image["Version"]:
        say(f"{kernel.id}: {image['Package']} is still the newest")
        return old
    started = time.monotonic()
    packages, missing = with_parts(apt, image)
    if missing and kernel.modules:
        raise FetchError(f"the archive has {image['Package']} but not {' '.join(missing)}")
    total = sum(int(p.get("Size", 0)) for p in packages)
    work = Path(tempfile.mkdtemp(prefix=f".{kernel.id}.", dir=cache))
    try:
        with tempfile.TemporaryDirectory(prefix="nightjar-deb.") as downloads:
            os.chmod(downloads, 0o777)  # apt's own user writes there
            apt.download([f"{p['Package']}={p['Version']}" for p in packages], downloads)
            load = unpack(kernel, sorted(glob.glob(f"{downloads}/*.deb")), work)
        record = {
            "format": FORMAT,
            "package": image["Package"],
            "version": image["Version"],
            "modules": list(kernel.modules),
            "load": load,
        }
        (work / "kernel.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        work.chmod(0o755)
        shutil.rmtree(cache / kernel.image, ignore_errors=True)
        work.rename(cache / kernel.image)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(
        f"{kernel.id}: {image['Package']} {image['Version']}: {total / 1e6:.1f} MB fetched in "
        f"{time.monotonic() - started:.1f} s, {size_of(cache / kernel.image) / 1e6:.1f} MB kept"
    )
    return record


def ensure(wanted, refresh=False, say=print, cache=None):
    """Returns ({id: folder}, {id: why not}). Raises Unavailable when this machine cannot have Debian kernels."""
    cache = Path(cache) if cache else cache_folder()
    have = {k.id: cached(k, cache) for k in wanted}
    problems = {}
    todo = [k for k in wanted if refresh or not have[k.id]]
    if todo:
        for tool in ("apt-get", "apt-cache", "dpkg", "dpkg-deb"):
            if not shutil.which(tool):
                raise Unavailable(f"there is no {tool} here, so Debian kernels cannot be had")
        archive = find_archive(machine_sources())
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / ".lock", "w", encoding="utf-8") as lock, tempfile.TemporaryDirectory() as folder:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be fetching the same
            if not refresh:
                todo = [k for k in todo if not cached(k, cache)]
            if todo:
                suites = list(dict.fromkeys(s for k in todo for s in k.suites))
                say(f"fetching {len(todo)} kernels: package lists of {' '.join(suites)}")
                apt = Apt(folder, private_sources(archive, suites))
                complaints = apt.update()
                for kernel in todo:
                    try:
                        fetch_one(apt, kernel, cache, have[kernel.id], say)
                    except (FetchError, subprocess.CalledProcessError, OSError, lzma.LZMAError) as error:
                        problems[kernel.id] = "; ".join([str(error), *complaints])
                        say(f"{kernel.id}: {problems[kernel.id]}" + (": the old one stays" if have[kernel.id] else ""))
    folders = {k.id: cache / k.image for k in wanted if cached(k, cache)}
    return folders, {k.id: problems.get(k.id, "not fetched") for k in wanted if k.id not in folders}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", action="append", metavar="ID", help="only this one; repeatable")
    parser.add_argument("--refresh", action="store_true", help="look for newer versions of those that are here")
    options = parser.parse_args()
    known = kernel_list.load()
    unknown = [k for k in options.kernel or [] if k not in known]
    if unknown:
        parser.error(f"no kernel {' '.join(unknown)} in kernels.ini; there are {' '.join(known)}")
    wanted = [known[i] for i in options.kernel] if options.kernel else [k for k in known.values() if k.matrix]
    try:
        folders, problems = ensure(wanted, options.refresh)
    except Unavailable as why:
        print(f"skipped: {why}")
        return 0
    for kernel in wanted:
        if kernel.id in folders:
            record = cached(kernel, cache_folder())
            size = size_of(folders[kernel.id]) / 1e6
            print(f"{kernel.id:6} {record['package']:44} {record['version']:20} {size:6.1f} MB  {folders[kernel.id]}")
        else:
            print(f"{kernel.id:6} missing: {problems[kernel.id]}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
