from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class BaseMessage(_message.Message):
    __slots__ = ("version", "type", "id", "source", "target", "timestamp_ns", "ttl", "hops", "payload", "signature")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    version: int
    type: int
    id: bytes
    source: bytes
    target: bytes
    timestamp_ns: int
    ttl: int
    hops: int
    payload: bytes
    signature: bytes
    def __init__(self, version: _Optional[int] = ..., type: _Optional[int] = ..., id: _Optional[bytes] = ..., source: _Optional[bytes] = ..., target: _Optional[bytes] = ..., timestamp_ns: _Optional[int] = ..., ttl: _Optional[int] = ..., hops: _Optional[int] = ..., payload: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...
