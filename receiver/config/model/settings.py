"""The whole configuration as the program sees it: validated, with every default filled in. Only data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from receiver.config.model.connector import AgentTrace
from receiver.config.model.exporters import Exporter
from receiver.config.model.extensions import Admin, Extension, FileStorage, HealthCheck
from receiver.config.model.graph import Graph
from receiver.config.model.receivers import OTLPReceiver
from receiver.config.model.service import Service


@dataclass(frozen=True, slots=True)
class Settings:
    """Components by id, in the order of the file. What is defined need not be in use: see `graph`.

    `notices` are lines to log once at the start; they are no part of what is configured.
    """

    receivers: Mapping[str, OTLPReceiver]
    connectors: Mapping[str, AgentTrace]
    exporters: Mapping[str, Exporter]
    extensions: Mapping[str, Extension]
    service: Service
    graph: Graph
    notices: tuple[str, ...] = field(default=(), compare=False)

    @property
    def connector(self) -> AgentTrace:
        """The connector in use; its defaults where no pipeline has one."""
        return self.connectors[self.graph.connector] if self.graph.connector else AgentTrace()

    @property
    def storage(self) -> FileStorage:
        """The store."""
        return next(one for one in self.extensions.values() if isinstance(one, FileStorage))

    @property
    def health_check(self) -> HealthCheck | None:
        """The health door, if it runs."""
        return next((one for one in self._running() if isinstance(one, HealthCheck)), None)

    @property
    def admin(self) -> Admin | None:
        """The admin door, if it runs."""
        return next((one for one in self._running() if isinstance(one, Admin)), None)

    def _running(self) -> list[Extension]:
        return [self.extensions[name] for name in self.service.extensions]
