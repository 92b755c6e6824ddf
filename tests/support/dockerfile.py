"""deploy/Dockerfile as its instructions, and what its context holds."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

FILE = ROOT / "deploy" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, in order, with their continuation lines."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]


def told(name: str) -> str:
    """The only instruction of that name, or the last."""
    return dict(instructions())[name]


def context() -> list[str]:
    """What may be copied: all else is ignored."""
    lines = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in lines
    return [line.removeprefix("!") for line in lines if line.startswith("!")]
