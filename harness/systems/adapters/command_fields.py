"""The fields of a command file's texts: names in braces, filled in for a node or an operation."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from harness.choices import did_you_mean
from harness.errors import BadFileError
from harness.runtimes.runtime import Place

OF_A_NODE = ("name", "index", "address", "directory")
OF_THE_CLUSTER = ("count", "first_address")
OF_A_START = (*OF_A_NODE, "peers", "entrances", "all", *OF_THE_CLUSTER, "prepared")
# What a program is given that runs before any node starts: nothing is prepared yet. `folder` is of
# this host, where the command file lies.
OF_A_PREPARATION = (*(name for name in OF_A_START if name != "prepared"), "folder")
OF_ASKING = (*OF_A_NODE, *OF_THE_CLUSTER, "prepared", "folder")
OF_A_HELPER = (*OF_A_START, "folder")
OF_A_JOIN = (*OF_A_HELPER, "peer", "peer_name", "peer_address", "peer_prepared")
OF_AN_OPERATION = (
    *OF_ASKING,
    "id",
    "payload",
    "payload_bytes",
    "key",
    "target",
    "target_address",
    "target_prepared",
)
OF_A_PEER = ("name", "index", "address", "prepared")
FIELD = re.compile(r"\{([a-z_]+)\}")


def fields(text: str, known: Collection[str], where: str) -> str:
    """Return `text`, if every field in it is known. Raises BadFileError."""
    for name in FIELD.findall(text):
        if name not in known:
            possible = [f"{{{each}}}" for each in known]
            hint = did_you_mean(f"{{{name}}}", possible)
            raise BadFileError(
                f"{where}: there is no field {{{name}}}{hint} Possible: {', '.join(possible)}"
            )
    return text


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with its fields filled in; braces around anything else stay."""
    return FIELD.sub(lambda match: values.get(match[1], match[0]), text)


def of_place(place: Place, prepared: Mapping[str, str]) -> dict[str, str]:
    """Return the values of a node's own fields; `prepared`: node → what was prepared for it."""
    return {**place.fields, "prepared": prepared.get(place.node.name, "")}


def as_peers(
    peer: str, separator: str, places: Sequence[Place], prepared: Mapping[str, str]
) -> str:
    """Write nodes as peers, one after the other."""
    return separator.join(filled(peer, of_place(place, prepared)) for place in places)
