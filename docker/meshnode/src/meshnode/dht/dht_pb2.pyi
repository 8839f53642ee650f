from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Request(_message.Message):
    __slots__ = ("number", "target", "value")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    number: int
    target: bytes
    value: bytes
    def __init__(self, number: _Optional[int] = ..., target: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("number", "contacts", "value")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CONTACTS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    number: int
    contacts: bytes
    value: bytes
    def __init__(self, number: _Optional[int] = ..., contacts: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...
