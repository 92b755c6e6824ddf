"""State in the form in which the store keeps it, and what earlier versions kept in another form.

Before items were one class, a report had no id and no kind (its start, end and tool stood beside its facts, where they
are too), and what was inferred of an item was a fact: one text, parted by commas.
"""

from __future__ import annotations

import msgspec

from receiver.core.state.items import EmittedRecord, Inferred, Item, ItemKind
from receiver.core.state.session import Session

_encode = msgspec.msgpack.Encoder().encode
_decode_session = msgspec.msgpack.Decoder(Session).decode
_decode_record = msgspec.msgpack.Decoder(EmittedRecord).decode


def encode_session(session: Session) -> bytes:
    """A session as the store keeps it."""
    return _encode(session)


def decode_session(state: bytes) -> Session:
    """A session that this version or an earlier one stored."""
    session = _decode_session(state)
    for kind in (ItemKind.CALL, ItemKind.REQUEST, ItemKind.PERMISSION, ItemKind.REPORT):
        for id_, item in session.items(kind).items():
            item.id, item.kind = id_, kind
            if "inferred" in item.facts:
                _upgrade_inferred(item)
    return session


def _upgrade_inferred(item: Item) -> None:
    _, text = item.facts.pop("inferred")
    item.infer(*(Inferred(name) for name in str(text).split(",")))


def encode_record(record: EmittedRecord) -> bytes:
    """What is remembered of an emitted item, as the store keeps it."""
    return _encode(record)


def decode_record(record: bytes) -> EmittedRecord:
    """The same, of this version or an earlier one."""
    return _decode_record(record)
