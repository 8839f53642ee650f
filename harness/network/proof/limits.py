"""Verdicts on the limits of nodes: pure functions of what was asked and what the kernel says."""

from __future__ import annotations

from dataclasses import dataclass

from harness.faults.limits import UNLIMITED, Disk, Limits
from harness.history.proof import Proof, ProofAnswer
from harness.network.proof.verdicts import Look
from harness.runtimes.runtime import Reading

QUOTA_TOLERANCE = 0.005  # of a core, by which the kernel rounds
CPU_TOLERANCE = 0.1
PERIOD_NS = 100_000_000  # of the kernel: so much may be used at once, at either end of a look
APART_NS = 500_000_000  # two looks that are nearer show nothing
IN_FORCE, NOT_IN_FORCE = ProofAnswer.IN_FORCE, ProofAnswer.NOT_IN_FORCE
NOT_SHOWN = ProofAnswer.AMOUNT_NOT_SHOWN


def judge_limits(
    look: Look, node: str, asked: Limits, reading: Reading, gone: Limits = UNLIMITED
) -> Proof:
    """Judge what the kernel has of a node's limits. `gone`: those that were taken back."""
    if not reading.processes:
        answer, said = NOT_SHOWN, f"{node} has no process"
    elif wrong := _wrong(asked, reading, gone):
        answer, said = look.answers[1], f"{node}: {wrong}"
    else:
        answer, said = look.answers[0], ""
    return look.proof(
        what="limits", n=reading.processes, backend="kernel", answer=answer, sentence=said
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a look at a node's disk showed; `error`: what became of a write of one page; empty: it
    was written.
    """

    made_bytes: int  # how large it is without a fault
    size_bytes: int
    free_bytes: int
    error: str


def judge_disk(look: Look, node: str, disk: Disk | None, room: Room) -> Proof:
    """Judge whether a node's disk is full, or as large as it was made."""
    if disk is Disk.FULL:
        is_so = room.error == "ENOSPC"
    else:
        is_so = room.size_bytes >= room.made_bytes and not (room.error and room.free_bytes)
    said = f"{node}: {room.free_bytes:,} of {room.size_bytes:,} bytes are free"
    written = f"a write got {room.error}" if room.error else "a write took place"
    return look.proof(
        what="disk",
        backend="tmpfs",
        answer=look.answers[0 if is_so else 1],
        sentence=f"{said}, {written}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a node's program was told of the time since its clock was set: how often, and by which
    offset the last time. `loaded`: processes of it that could be.
    """

    offset_ns: int
    told_ns: int
    told: int
    loaded: int


def judge_clock(look: Look, node: str, asked_s: float | None, seen: Told) -> Proof:
    """Judge a node's clock by what its program was told. One that is gone was not told otherwise;
    one in force was told so.
    """
    wanted_ns = round((asked_s or 0.0) * 1e9)
    if seen.offset_ns != wanted_ns or (seen.told and seen.told_ns != wanted_ns):
        answer = look.answers[1]
    else:
        answer = look.answers[0] if seen.told or look.gone else NOT_SHOWN
    said = f"was told {seen.told_ns / 1e9:+g} s" if seen.told else "has not read its clock"
    return look.proof(
        what="clock",
        asked=wanted_ns / 1e9,
        achieved=seen.told_ns / 1e9 if seen.told else None,
        n=seen.told,
        backend="preload",
        answer=answer,
        sentence=f"{node} {said} since it was set {wanted_ns / 1e9:+g} s",
    )


def judge_unread(look: Look, why: str, what: str = "limits") -> Proof:
    """Say that nothing could be read of a node's limits."""
    return look.proof(what=what, backend="kernel", answer=NOT_SHOWN, sentence=why)


def _wrong(asked: Limits, reading: Reading, gone: Limits) -> str | None:
    """What is other than asked; None where all is as it should be."""
    quota = reading.quota
    if asked.cpu is None and gone.cpu is not None and quota is not None:
        return f"its quota of CPU time is still {quota:g}"
    if asked.cpu is not None and (quota is None or abs(quota - asked.cpu) > QUOTA_TOLERANCE):
        return f"its quota of CPU time is {quota}, asked are {asked.cpu:g}"
    memory = (reading.memory_bytes, reading.own_memory_bytes)
    fds = (reading.fds, reading.own_fds)
    for name, wanted, before, (found, own) in (
        ("memory", asked.memory_bytes, gone.memory_bytes, memory),
        ("fds", asked.fds, gone.fds, fds),
    ):
        # A process may have been given less by others.
        if wanted is not None and not all(one is not None and one <= wanted for one in found):
            return f"its limits of {name} are {_listed(found)}, asked are {wanted:,}"
        if wanted is not None and not found:
            return f"its limits of {name} could not be read, asked are {wanted:,}"
        if wanted is None and before is not None and before in found - own:
            return f"its limit of {name} is still {before:,}"
    return None


def _listed(found: frozenset[int | None]) -> str:
    return ", ".join(sorted("none" if one is None else f"{one:,}" for one in found))


def judge_amounts(
    look: Look, node: str, asked: Limits, before: Reading | None, now: Reading
) -> list[Proof]:
    """Judge how much of each limit was seen in use: a Proof for each that is asked.

    That nothing more is given shows only in what a node does not get, and of address space and
    descriptors in nothing that is counted. Of CPU time it is what was used since the look before.
    """
    found = [
        look.proof(
            what=what,
            backend="kernel",
            answer=NOT_SHOWN,
            sentence=f"{node}: it is read back, and nothing counts what is refused",
        )
        for what in asked.of_processes.kinds
        if what != "cpu"
    ]
    return found if asked.cpu is None else [_judge_cpu(look, node, asked.cpu, before, now), *found]


def _judge_cpu(look: Look, node: str, asked: float, before: Reading | None, now: Reading) -> Proof:
    """Judge a quota by the CPU time that was used in a stretch in which it was used up."""
    # The longest in which it may have been used.
    elapsed_ns = 0 if before is None else now.at_ns - before.begun_ns
    if before is None or elapsed_ns < APART_NS or now.cpu_ns < before.cpu_ns:
        said = f"{node}: nothing to compare with yet"
        return look.proof(what="cpu", backend="proc", answer=NOT_SHOWN, sentence=said)
    used = (now.cpu_ns - before.cpu_ns) / elapsed_ns
    tolerance = asked * (CPU_TOLERANCE + 2 * PERIOD_NS / elapsed_ns)
    if used > asked + tolerance:
        answer = NOT_IN_FORCE
    elif used >= asked - tolerance and now.throttled > before.throttled:
        answer = IN_FORCE
    else:
        answer = NOT_SHOWN
    return look.proof(
        what="cpu",
        asked=asked * 100,
        achieved=used * 100,
        tolerance=tolerance * 100,
        n=now.throttled - before.throttled,
        backend="proc",
        answer=answer,
        sentence=f"{node} used {used * 100:.1f} % of a core, asked are {asked * 100:g} %",
    )
