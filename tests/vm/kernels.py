# SPDX-License-Identifier: Apache-2.0
"""Reads kernels.ini."""

import configparser
import re
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).resolve().parent / "kernels.ini"


@dataclass(frozen=True)
class Kernel:
    id: str
    suites: tuple
    package: "re.Pattern"
    modules: tuple
    features: frozenset  # it must have these
    lacks: frozenset
    matrix: bool
    configs: tuple  # that run unless asked for otherwise
    image: str = ""  # whose image it boots, in the cache
    options: str = ""  # more of its command line


def parse(text):
    """{id: Kernel}, in the order of the file."""
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=None)
    parser.read_string(text)
    kernels = {}
    for name in parser.sections():
        section = parser[name]
        image = section.get("of", name)
        if image != name:  # another kernel's, booted in another way
            own = dict(parser.items(name))
            defaults = parser.defaults()
            for key, value in parser.items(image):
                if key not in own or own[key] == defaults.get(key):
                    section[key] = value
        lacks = frozenset(section["lacks"].split())
        also = frozenset(section["also"].split())
        if lacks & also:
            raise ValueError(f"{name}: both in `also` and in `lacks`: {' '.join(sorted(lacks & also))}")
        kernels[name] = Kernel(
            id=name,
            suites=tuple(section["suites"].split()),
            package=re.compile(section["package"]),
            modules=tuple(section["modules"].split()),
            features=(frozenset(section["features"].split()) | also) - lacks,
            lacks=lacks,
            matrix=section.getboolean("matrix"),
            configs=tuple(section.get("configs", "").split()),
            image=image,
            options=section.get("options", ""),
        )
    return kernels


def load():
    return parse(FILE.read_text(encoding="utf-8"))
