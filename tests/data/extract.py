#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes from the published schemas what the tests compare with: tests/data/ecs.csv and tests/data/ocsf.json.

    tests/data/extract.py FOLDER

FOLDER holds the Elastic Common Schema's field list as ecs-*-fields.csv (elastic/ecs, generated/csv/fields.csv) and a
checkout of ocsf/ocsf-schema as ocsf/. Both are Apache-2.0.
"""
import csv
import json
import pathlib
import re
import sys

ECS_SETS = set("base ecs event process user group file error container host source destination network dns "
               "orchestrator package rule related".split())
ECS_LEFT_OUT = re.compile(r"\.(entity|risk|geo|as|elf|pe|macho|code_signature|entry_leader|x509|effective\.\w+|changes|"
                          r"target|attested_\w+|supplemental_\w+|same_as_process|io|vlan|inner|entry_meta|fork_name|"
                          r"geo|nat|disk|cpu|memory)\b")
CLASSES = {
    "base_event": 0, "file_activity": 1001, "kernel_extension_activity": 1002, "kernel_activity": 1003,
    "memory_activity": 1004, "process_activity": 1007, "network_activity": 4001, "dns_activity": 4003,
}
OBJECTS = set("metadata product device device_hw_info os actor process process_entity user group session container "
              "image file fingerprint environment_variable network_endpoint network_connection_info network_traffic "
              "dns_query dns_answer kernel kernel_driver".split())
PROFILES = ["host", "container", "linux/linux_users"]


def ecs(folder: pathlib.Path) -> str:
    source, = folder.glob("ecs-*-fields.csv")
    lines = ["# Field, type and whether it is an array, of the Elastic Common Schema (Apache-2.0), by extract.py"]
    with source.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = row["Field"]
            if row["Field_Set"] in ECS_SETS and not ECS_LEFT_OUT.search(name):
                lines.append(f"{name},{row['Type']},{'array' if row['Normalization'] == 'array' else ''}")
    return "\n".join(lines) + "\n"


class Ocsf:
    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.dictionary = self.load("dictionary.json")["attributes"]
        self.types = self.load("dictionary.json")["types"]["attributes"]
        extension = folder / "extensions/linux/dictionary.json"
        if extension.exists():
            self.dictionary |= json.loads(extension.read_text(encoding="utf-8"))["attributes"]
        self.sources = {}
        for kind in ("events", "objects"):
            for path in (folder / kind).rglob("*.json"):
                data = json.loads(path.read_text(encoding="utf-8"))
                self.sources[kind, data.get("name", path.stem)] = data
        for name, kind in (("file_activity", "events"), ("process", "objects")):
            assert (kind, name) in self.sources, f"no {name} in {folder}"

    def load(self, path: str) -> dict:
        return json.loads((self.folder / path).read_text(encoding="utf-8"))

    def profile(self, name: str) -> dict:
        path = f"profiles/{name}.json" if "/" not in name else f"extensions/linux/profiles/{name.split('/')[1]}.json"
        return self.load(path)["attributes"]

    def merged(self, kind: str, name: str) -> tuple[dict, dict]:
        data = self.sources[kind, name]
        attributes, constraints = {}, {}
        if data.get("extends"):
            attributes, constraints = self.merged(kind, data["extends"])
        own = dict(data["attributes"])
        for include in own.pop("$include", []):
            profile = include.removeprefix("profiles/").removesuffix(".json")
            if profile in PROFILES:
                for key, value in self.profile(profile).items():
                    attributes.setdefault(key, {}).update(value)
        for key, value in own.items():
            attributes.setdefault(key, {})
            attributes[key] = {**attributes[key], **value,
                               "enum": {**attributes[key].get("enum", {}), **value.get("enum", {})}}
        return attributes, {**constraints, **(data.get("constraints") or {})}

    def described(self, kind: str, name: str, profiles: list[str]) -> dict:
        attributes, constraints = self.merged(kind, name)
        for profile in profiles:
            for key, value in self.profile(profile).items():
                attributes.setdefault(key, value)
        out = {}
        for key, value in sorted(attributes.items()):
            entry = self.dictionary.get(key, {})
            kind_of = entry.get("type", "json_t")
            base = self.types.get(kind_of, {}).get("type", kind_of)
            shown = {"type": base if kind_of in self.types else entry.get("object_type", kind_of)}
            if base in ("object_t",):
                shown["type"] = entry["object_type"]
            if entry.get("is_array"):
                shown["array"] = True
            if value.get("requirement") == "required":
                shown["required"] = True
            enum = {**entry.get("enum", {}), **value.get("enum", {})}
            # The uids of a class follow from its place, not from an enum.
            if enum and kind_of == "integer_t" and key not in ("class_uid", "category_uid"):
                shown["enum"] = sorted(map(int, enum))
            out[key] = shown
        return {"attributes": out, **({"constraints": constraints} if constraints else {})}

    def extract(self) -> dict:
        classes = {str(uid): self.described("events", name, ["host"]) for name, uid in CLASSES.items()}
        objects = {}
        for name in sorted(OBJECTS):
            objects[name] = self.described("objects", name, ["linux/linux_users"] if name == "process" else [])
        return {"version": self.load("version.json")["version"], "source": "ocsf/ocsf-schema, Apache-2.0",
                "classes": classes, "objects": objects}


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    here = pathlib.Path(__file__).parent
    (here / "ecs.csv").write_text(ecs(folder), encoding="utf-8")
    text = json.dumps(Ocsf(folder / "ocsf").extract(), separators=(",", ":"))
    # One line a class or object, so that a change shows as such.
    text = re.sub(r'("(?:[a-z_]+|\d+)":\{"attributes")', r"\n\1", text)
    (here / "ocsf.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
