"""The effective configuration as text for people: every default filled in, every secret replaced. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import SecretStr

from receiver.config.model.section import Section
from receiver.config.model.settings import Settings

REDACTED = "[REDACTED]"


class _Dumper(yaml.SafeDumper):
    """Writes no anchors, and lists of scalars in one line."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent_list(self, data: Iterable[Any]) -> yaml.SequenceNode:
        items = list(data)
        of_maps = any(isinstance(item, Mapping) for item in items)
        return self.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=not of_maps)


_Dumper.add_representer(list, _Dumper.represent_list)


def effective(settings: Settings) -> str:
    """YAML that loads to the same settings, except for the secrets."""
    tree = {
        "receivers": settings.receivers,
        "connectors": settings.connectors,
        "exporters": settings.exporters,
        "extensions": settings.extensions,
        "service": settings.service,
    }
    return yaml.dump(_plain(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _plain(value: object) -> object:
    if isinstance(value, Section):
        return _plain(value.model_dump(exclude_none=True))
    if isinstance(value, SecretStr):
        return REDACTED
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _shown(value) if isinstance(value, str) else value


def _shown(text: str) -> str:
    """The text, escaped; a URL without its query, which holds the key of some backends."""
    url, question, _ = text.partition("?")
    if question and url.startswith(("http://", "https://")):
        text = f"{url}?{REDACTED}"
    return text.replace("$", "$$")
