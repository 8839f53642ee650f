"""The base class of adapters with drivers, under the name that earlier versions documented."""

from __future__ import annotations

from harness.systems.adapters.driven import CONTROL, Driven, entrances, options, require, wire_id

__all__ = ["CONTROL", "Driven", "entrances", "options", "require", "wire_id"]
