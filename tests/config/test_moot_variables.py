"""What is said of the standard variables where they are not used, or cannot be."""

from collections.abc import Callable

import pytest

from receiver.config import Settings

Read = Callable[..., Settings]
Refused = Callable[..., list[str]]
P = "OTEL_EXPORTER_OTLP_"


@pytest.mark.parametrize(("text", "sets"), [("exporters: {%s}", ()), ("", ("exporters={%s}",))])
@pytest.mark.parametrize("exporter", ["debug: , file: {path: x}", "otlp_grpc/mine: {endpoint: 'b:4317'}"])
def test_that_they_do_nothing_where_others_are_named_is_told(
    read: Read, text: str, sets: tuple[str, ...], exporter: str
) -> None:
    sets = tuple(one % exporter for one in sets)
    text = text % exporter if text else text
    for endpoint in ("http://c:4317", "c:port", "http://["):
        (notice,) = read(text, sets, **{P + "TRACES_ENDPOINT": endpoint}).notices
        assert notice.startswith(f"{P}TRACES_ENDPOINT is not used: the configuration names its exporters, ")
    assert read(text, sets).notices == ()


@pytest.mark.parametrize("endpoint", ["http://localhost:4317", "http://127.0.0.1:4318", "localhost:4317", "b:4317"])
def test_those_that_are_for_the_agent_or_are_used_after_all_are_not_told(read: Read, endpoint: str) -> None:
    text = "exporters: {otlp_grpc/mine: {endpoint: 'b:4317'}}"
    assert read(text, **{P + "ENDPOINT": endpoint}).notices == ()


def test_an_endpoint_that_is_no_address_is_told_where_it_counts(refused: Refused) -> None:
    (line,) = refused(**{P + "ENDPOINT": "http://["})
    assert line.startswith(f"{P}ENDPOINT: 'http://[' is not a URL")
