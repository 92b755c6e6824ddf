from opentelemetry.proto.trace.v1 import trace_pb2 as _trace_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListSessionsRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "total")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    total: int
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("id", "parent_id", "root_id", "state", "start_time_unix_nano", "last_activity_time_unix_nano", "open_calls", "spans_left", "producer", "agent")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Session.State]
        STATE_OPEN: _ClassVar[Session.State]
        STATE_IDLE: _ClassVar[Session.State]
    STATE_UNSPECIFIED: Session.State
    STATE_OPEN: Session.State
    STATE_IDLE: Session.State
    ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    ROOT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    LAST_ACTIVITY_TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    OPEN_CALLS_FIELD_NUMBER: _ClassVar[int]
    SPANS_LEFT_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    parent_id: str
    root_id: str
    state: Session.State
    start_time_unix_nano: int
    last_activity_time_unix_nano: int
    open_calls: int
    spans_left: int
    producer: str
    agent: str
    def __init__(self, id: _Optional[str] = ..., parent_id: _Optional[str] = ..., root_id: _Optional[str] = ..., state: _Optional[_Union[Session.State, str]] = ..., start_time_unix_nano: _Optional[int] = ..., last_activity_time_unix_nano: _Optional[int] = ..., open_calls: _Optional[int] = ..., spans_left: _Optional[int] = ..., producer: _Optional[str] = ..., agent: _Optional[str] = ...) -> None: ...

class GetTreeRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class GetTreeResponse(_message.Message):
    __slots__ = ("traces", "left_span_ids")
    TRACES_FIELD_NUMBER: _ClassVar[int]
    LEFT_SPAN_IDS_FIELD_NUMBER: _ClassVar[int]
    traces: _trace_pb2.TracesData
    left_span_ids: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, traces: _Optional[_Union[_trace_pb2.TracesData, _Mapping]] = ..., left_span_ids: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FlushRequest(_message.Message):
    __slots__ = ("session_ids",)
    SESSION_IDS_FIELD_NUMBER: _ClassVar[int]
    session_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, session_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class FlushResponse(_message.Message):
    __slots__ = ("closed",)
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    closed: int
    def __init__(self, closed: _Optional[int] = ...) -> None: ...

class QueueStateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueueStateResponse(_message.Message):
    __slots__ = ("queues",)
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    queues: _containers.RepeatedCompositeFieldContainer[ExporterQueue]
    def __init__(self, queues: _Optional[_Iterable[_Union[ExporterQueue, _Mapping]]] = ...) -> None: ...

class ExporterQueue(_message.Message):
    __slots__ = ("exporter", "rows", "items", "oldest_time_unix_nano", "set_aside_rows", "set_aside_items", "set_aside_reasons", "failure", "failing_since_unix_nano", "failed_attempts", "next_try_unix_nano")
    class SetAsideReasonsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    EXPORTER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    SET_ASIDE_ROWS_FIELD_NUMBER: _ClassVar[int]
    SET_ASIDE_ITEMS_FIELD_NUMBER: _ClassVar[int]
    SET_ASIDE_REASONS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FAILING_SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    FAILED_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    exporter: str
    rows: int
    items: int
    oldest_time_unix_nano: int
    set_aside_rows: int
    set_aside_items: int
    set_aside_reasons: _containers.ScalarMap[str, int]
    failure: str
    failing_since_unix_nano: int
    failed_attempts: int
    next_try_unix_nano: int
    def __init__(self, exporter: _Optional[str] = ..., rows: _Optional[int] = ..., items: _Optional[int] = ..., oldest_time_unix_nano: _Optional[int] = ..., set_aside_rows: _Optional[int] = ..., set_aside_items: _Optional[int] = ..., set_aside_reasons: _Optional[_Mapping[str, int]] = ..., failure: _Optional[str] = ..., failing_since_unix_nano: _Optional[int] = ..., failed_attempts: _Optional[int] = ..., next_try_unix_nano: _Optional[int] = ...) -> None: ...

class ListSetAsideRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ListSetAsideResponse(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[SetAside]
    def __init__(self, rows: _Optional[_Iterable[_Union[SetAside, _Mapping]]] = ...) -> None: ...

class SetAside(_message.Message):
    __slots__ = ("id", "exporter", "signal", "items", "size", "reason", "time_unix_nano")
    ID_FIELD_NUMBER: _ClassVar[int]
    EXPORTER_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    id: int
    exporter: str
    signal: str
    items: int
    size: int
    reason: str
    time_unix_nano: int
    def __init__(self, id: _Optional[int] = ..., exporter: _Optional[str] = ..., signal: _Optional[str] = ..., items: _Optional[int] = ..., size: _Optional[int] = ..., reason: _Optional[str] = ..., time_unix_nano: _Optional[int] = ...) -> None: ...

class ResendRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...

class ResendResponse(_message.Message):
    __slots__ = ("rows", "items")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    items: int
    def __init__(self, rows: _Optional[int] = ..., items: _Optional[int] = ...) -> None: ...
