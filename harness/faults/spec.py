"""A FaultSpec is a fault as people ask for it, in the same words live and in scenarios.

Everything is checked before anything changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from harness.choices import possible
from harness.errors import BadFileError
from harness.faults import limits, partitions, targets
from harness.faults.fault import Condition, Fault, State
from harness.faults.limits import UNLIMITED, Limits
from harness.faults.paths import DirectedPath, Paths
from harness.faults.programs import Program
from harness.faults.words import CONDITIONS, OF_NODES, OF_PROGRAMS, WORDS, texts
from harness.topology import impairment as impairments
from harness.topology.impairment import CLEAR, HALF_OPEN, Impairment
from harness.topology.topology import Node

FLAP_S_LEAST = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """A fault whose words were read and are not yet resolved to nodes. Raises BadFileError.

    It is of paths or nodes (`where`) or a pattern (`cut`, `of`). `for_s` None: until its phase, or
    the cluster, ends. `flap_s`: meanwhile it comes and goes, so long each time.
    """

    where: str | None = None
    cut: str | None = None
    of: tuple[str, ...] = ()
    one_way: bool = False
    part: float | None = None
    impairment: Impairment = CLEAR  # of paths; a rate of nodes is their own links'
    up: int | None = None
    down: int | None = None
    condition: Condition | None = None
    state: State | None = None
    program: Program | None = None
    limits: Limits = UNLIMITED  # of nodes
    name: str = ""  # empty: its words
    at_s: float = 0.0
    for_s: float | None = None
    flap_s: float | None = None
    words: str = ""  # as it was asked

    def __post_init__(self) -> None:
        if self.cut is not None and self.where is not None:
            raise BadFileError("fault: expected where or cut, found both")
        if self.cut is None and self.where is None:
            raise BadFileError(
                "fault: expected where (a node, region:NAME, all, A -> B, A <-> B) or cut (one of "
                f"{', '.join(partitions.PATTERNS)}), found neither"
            )
        for name, value in (("at_s", self.at_s), ("for_s", self.for_s)):
            if value is not None and value < 0:
                raise BadFileError(f"{name}: expected 0 or more, found {value:g}")
        if self.for_s == 0:
            raise BadFileError("for_s: expected above 0, found 0")
        if self.flap_s is not None and self.flap_s < FLAP_S_LEAST:
            raise BadFileError(
                f"flap_s: expected at least {FLAP_S_LEAST:g}, or nobody can see it come and go; "
                f"found {self.flap_s:g}"
            )
        if self.condition is not None and self._has_amount:
            raise BadFileError(
                "condition: it is of nodes and stands alone; what is wrong with the network is "
                "another fault"
            )
        if self.limits != UNLIMITED and (self._has_amount or self.condition is not None):
            raise BadFileError(
                f"{', '.join(self.limits.kinds)}: what nodes may use stands alone; a condition, "
                "and what is wrong with the network, are other faults"
            )
        self._refuse_without_meaning()
        self._refuse_unheard()

    def _refuse_without_meaning(self) -> None:
        """Raise BadFileError for words beside a condition that mean nothing there."""
        starts = {"state": self.state, "command, image": self.program}
        for name, start in starts.items():
            if start is not None and (self.condition is None or not self.condition.is_down):
                down = ", ".join(word for word in CONDITIONS if Condition(word).is_down)
                raise BadFileError(
                    f"{name}: it is of nodes that start again; expected a condition of {down}; "
                    f"found {self.condition or 'none'}"
                )
        if self.condition is Condition.RESTARTED:
            for name, value in (("for_s", self.for_s), ("flap_s", self.flap_s)):
                if value is not None:
                    raise BadFileError(
                        f"{name}: a restart is a moment, found {value:g}; a node that is down for "
                        "a time is stopped, killed or crashed"
                    )

    def _refuse_unheard(self) -> None:
        """Raise BadFileError for words that would stand in the fault's and change nothing."""
        rates = self.up is not None or self.down is not None
        if self.cut is None and self.of:
            raise BadFileError("of: it is what a cut's pattern takes; where says all by itself")
        if self.cut is None and self.one_way:
            raise BadFileError("one_way: it is of a cut; of paths, say where = A -> B")
        if self.cut is not None and rates:
            raise BadFileError(
                f"cut {self.cut}: up and down are of nodes; of the cut's paths, say rate"
            )
        link = self.where is not None and targets.is_node(self.where) and self.impairment.rate_bps
        if self.part is not None and (rates or link):
            raise BadFileError(
                "part: it is of paths; up, down and rate of a node are of its own link"
            )

    @property
    def is_of_nodes(self) -> bool:
        """Whether it is a condition of nodes or limits what they use; else it is of the network."""
        return self.condition is not None or self.limits != UNLIMITED

    @property
    def _has_amount(self) -> bool:
        rates = (self.up, self.down, self.part)
        return self.cut is not None or not self.impairment.is_clear or any(rates)

    def resolve(self, nodes: Sequence[Node], seed: int) -> Fault:
        """Resolve the fault on these nodes, in the topology's order.

        Raises BadFileError for what is not there, or cannot be at that place.
        """
        if self.is_of_nodes:
            return self._of_nodes(nodes)
        made = self._cut(nodes, seed) if self.cut is not None else self._impaired(nodes, seed)
        return replace(made, name=self.name or self.words, words=self.words)

    def named_nodes(self, nodes: Sequence[Node]) -> set[str]:
        """Return the nodes that the words name one by one: a fault there wants them alive."""
        names = {node.name for node in nodes}
        said = [self.where or "", *self.of]
        sides = [side for text in said for side in text.replace("<->", "->").split("->")]
        return {part.strip() for side in sides for part in side.split(",")} & names

    def _of_nodes(self, nodes: Sequence[Node]) -> Fault:
        at = self.where or ""
        if not targets.is_node(at):
            what = ", ".join(self.limits.kinds) or "condition"
            raise BadFileError(f"{what}: it is of nodes, found the path {at!r}")
        whom = targets.nodes_of(at, nodes)
        for node in nodes:
            if node.name in whom:
                self.limits.require(node)
        return Fault(
            name=self.name or self.words,
            nodes=whom,
            condition=self.condition,
            state=self.state or State.KEEP,
            program=self.program,
            limits=self.limits,
            words=self.words,
        )

    def _cut(self, nodes: Sequence[Node], seed: int) -> Fault:
        assert self.cut is not None
        of = self.of
        if self.cut == "isolate":
            of = tuple(one for word in of for one in targets.nodes_of(word, nodes))
        far = partitions.cut(self.cut, of, nodes, seed)
        if self.one_way:
            far = partitions.one_way(far, [node.name for node in nodes])
        if self.impairment.is_clear and self.part is None:
            return Fault(name=self.name, far=far)
        # With impairments the pattern only says where: "loss 30 % between the halves" is a gray
        # failure, no cut.
        what = Impairment(blocked=True) if self.impairment.is_clear else self.impairment
        paths = self._gray(partitions.pairs(far), seed)
        return Fault(name=self.name, paths=paths, impairment=what)

    def _impaired(self, nodes: Sequence[Node], seed: int) -> Fault:
        at = self.where or ""
        if self.impairment.is_clear and self.up is None and self.down is None:
            raise BadFileError(
                f"fault at {at!r}: expected at least one of {', '.join(impairments.WORDS)}, toxic, "
                f"up, down, half_open, condition, {', '.join(limits.WORDS)}; found none"
            )
        if not targets.is_node(at):
            if self.up is not None or self.down is not None:
                raise BadFileError(
                    f"fault at {at!r}: up and down are of nodes; of a path, say rate"
                )
            paths = self._gray(targets.paths_of(at, nodes), seed)
            return Fault(name=self.name, paths=paths, impairment=self.impairment)
        both = self.impairment.rate_bps  # of a node: its own link, not each of its paths
        up, down = (both if rate is None else rate for rate in (self.up, self.down))
        whom = targets.nodes_of(at, nodes)
        what = replace(self.impairment, rate_bps=None)
        return Fault(
            name=self.name,
            paths=frozenset() if what.is_clear else self._gray(targets.paths_of(at, nodes), seed),
            impairment=what,
            up={} if up is None else dict.fromkeys(whom, up),
            down={} if down is None else dict.fromkeys(whom, down),
        )

    def _gray(self, paths: AbstractSet[DirectedPath], seed: int) -> AbstractSet[DirectedPath]:
        if self.part is None:
            return paths
        return Paths.of_pairs(partitions.gray(paths, self.part, seed))


def parse(table: Mapping[str, object]) -> FaultSpec:
    """Read a fault from its words.

    They are ``{"where": "region:eu -> region:us", "delay": "80ms"}`` or ``{"cut": "halves",
    "for_s": 20}``. Raises BadFileError with the words that there are.
    """
    read: dict[str, Any] = {}
    for key, value in table.items():
        if key not in WORDS:
            raise BadFileError(f"{key}: unknown key{possible(key, WORDS)}")
        if value is not None:
            try:
                read[key] = WORDS[key].read(value)
            except BadFileError as error:
                raise BadFileError(f"{key}: {error}") from None
    wrong = {
        word.field: read.pop(name)
        for name, word in impairments.WORDS.items()
        if read.get(name) is not None
    }
    toxics = tuple(sorted(map(impairments.toxic, read.pop("toxic", ()))))
    half_open = {HALF_OPEN[read.pop("half_open")]: True} if "half_open" in read else {}
    if "condition" in read:
        read["condition"] = Condition(read["condition"])
    if "state" in read:
        read["state"] = State(read["state"])
    other = {name: read.pop(name) for name in OF_PROGRAMS if name in read}
    narrow = {word.field: read.pop(name, None) for name, word in limits.WORDS.items()}
    return FaultSpec(
        **read,
        limits=Limits(**narrow),
        program=Program(**other) if other else None,
        impairment=Impairment(**wrong, toxics=toxics, **half_open),
        words=_said(table),
    )


def _said(table: Mapping[str, object]) -> str:
    """Join the words in one line, which is also the name of a fault that has none."""
    cut = table.get("cut")
    said = [str(table.get("where") or "")] if cut is None else [f"cut {cut}"]
    said += list(texts(table.get("of") or ()))
    for key in (*impairments.WORDS, "up", "down", "part", "condition", "state", *OF_NODES):
        if table.get(key) is not None:
            said.append(f"{key} {table[key]}")
    said += [f"toxic {words}" for words in texts(table.get("toxic") or ())]
    said += ["one-way"] if table.get("one_way") else []
    said += [f"half-open {table['half_open']}"] if table.get("half_open") else []
    return " ".join(said)


def table_of(words: str) -> dict[str, Any]:
    """Return the table whose words these are, as `FaultSpec.words` has them: the way back.

    Raises BadFileError where there is none.
    """
    table: dict[str, Any] = {}
    key, said = "", list[str]()
    alone = (*impairments.WORDS, "up", "down", "part", "condition", "state", *OF_NODES)
    for word in [*words.split(" "), ""]:
        if word and word not in (*alone, "toxic", "one-way", "half-open"):
            said.append(word)
            continue
        text = " ".join(said)
        if key == "toxic":
            table.setdefault("toxic", []).append(text)
        elif not key and text.startswith("cut "):
            table["cut"], *of = said[1:]
            table |= {"of": of} if of else {}
        else:
            table[key.replace("-", "_") or "where"] = True if key == "one-way" else text
        key, said = word, []
    if _said(table) != words:
        raise BadFileError(f"expected the words of a fault, found {words!r}")
    return table
