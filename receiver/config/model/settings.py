"""The whole configuration: validated, with every default filled in. Only data."""

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
    """Components by id, in the order of the file. Some may not be in use: see `graph`.

    `notices` are warnings to log once at the start; they do not take part in comparisons.
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
        """The store's settings."""
        return next(one for one in self.extensions.values() if isinstance(one, FileStorage))

    @property
    def health_check(self) -> HealthCheck | None:
        """The health endpoint, if it runs."""
        return next((one for one in self._running() if isinstance(one, HealthCheck)), None)

    @property
    def admin(self) -> Admin | None:
        """The admin endpoint, if it runs."""
        return next((one for one in self._running() if isinstance(one, Admin)), None)

    def _running(self) -> list[Extension]:
        return [self.extensions[name] for name in self.service.extensions]
