"""Writes docs/files.md from the tables in the code (shapes, metrics, units), so that it cannot be
out of date.

``python scripts/make_docs.py`` writes; a unit test compares.
"""

from __future__ import annotations

from pathlib import Path

from harness.checks.metrics import METRICS
from harness.checks.rows import STATISTICS
from harness.faults.partitions import PATTERNS
from harness.operations import Operation
from harness.scenario.budget import COMPARISONS, UNITS
from harness.scenario.stream import Arrivals
from harness.topology.impairment import WORDS
from harness.topology.shapes import SHAPES

TARGET = Path(__file__).parent.parent / "docs" / "files.md"

TOPOLOGY = """# Topology, scenario and budget files

TOML. Every key is known or refused; `harness check FILE` says what is wrong without running anything. (This page is
generated: `python scripts/make_docs.py`.)

## Topology

```toml
name = "my-cluster"              # default: the file's name
adapter = "meshnode"             # the system under test: meshnode, opendht, serf, a command file beside this one, module:Class
seed = 1                         # of random shapes
silence_s = 30                   # nodes that say nothing new for so long while they start have failed
congestion_control = "reno"      # TCP's, in every node; default: the host's (bbr ignores 1 % of loss)
gso_max_segs = 1                 # every TCP packet one segment: a lost one is 1,448 bytes; default: the kernel's, up to 64 kB
addresses = "198.18.0.0/15"      # IPv4 block; a region gets a block of it

[nodes]                          # a group: node-0 … node-99
count = 100
prefix = "node"
regions = ["eu", "us"]           # in equal blocks
options = { k = 20 }             # for the adapter; meshnode: fanout, k, alpha, max_message_bytes, max_connections, …; serf: profile, event_bytes_max

[[node]]                         # and single ones
name = "sink"
region = "eu"

[shape]                          # who is linked with whom; default random-regular, none where links are written out
kind = "random-regular"
degree = 8

[[link]]
between = ["sink", "node-0"]

[[region_link]]                  # what is always there between two regions, both ways (one_way = true: from the first)
between = ["eu", "us"]
delay = "40ms"
```

| shape | numbers (default) | |
|---|---|---|
"""

SCENARIO = """
## Scenario

```toml
topology = "cluster-10"          # a file beside this one, or ../topologies/NAME.toml
budget = "first-budget"          # likewise; optional
system = "opendht"               # another system than the topology names; optional
seed = 1

[[phase]]                        # judged by itself; phases follow each other
name = "active"
duration_s = 20
[[phase.stream]]                 # an open model: due by the clock, never waiting for the previous answer
operation = "private_message"    # {operations}
rate_per_s = 1000
payload_bytes = 256
target = "node-0"                # private messages: the one receiver; default a random one each
sources = ["node-1"]             # default: all but the target, in seeded random order
arrivals = "uniform"             # {arrivals}
timeout_ms = 10000               # no answer by then: UNKNOWN
after_s = 1                      # the stream begins so long after its phase
count = 1000                     # the stream ends after so many; with a high rate it is a burst

[[phase.fault]]                  # makes the network bad in that phase (faults.md)
where = "node-1 -> node-2"       # or cut = "{patterns}"
delay = "50ms"                   # {words}
at_s = 5                         # after the phase began; default 0
for_s = 10                       # default: to the phase's end
flap_s = 2                       # comes and goes meanwhile; default: stays

[[phase]]                        # what a path carries by a tool that is not ours, beside the system under test
name = "reference"
duration_s = 8
iperf3 = ["node-1", "node-2"]    # from the first to the second
```

A **suite** is a file in the same folder with `parts = ["meshara-10", …]` and `budget`: its scenarios are played one after
another and answer for one budget together; every row names the `scenario` that measures it.

## Budget

```toml
source = "where it was promised"

[[row]]
name = "end-to-end private message p99"
metric = "private_message.end_to_end"
statistic = "p99"                # {statistics}
comparison = "<"                 # {comparisons}; default <, strict
bound = 50                       # left out: measured, not promised, never PASS
unit = "ms"                      # {units}
phase = "active"
nodes = 10                       # condition: exactly so many nodes
node = "node-0"                  # judged on this node; default: the worst of all
received_per_s = 1000            # condition: `node` itself received at least so many messages a second (−1 %)
under = "wan"                    # condition: the fault of this name was in force in the phase, and its amount shown
scenario = "meshara-10"          # measured by this scenario; a run of another leaves the row out
stretch = 20                     # a further aim, said beside the answer, never judged
```

A condition that was not met, a phase that was not played, too few samples for the statistic: UNKNOWN, with the cause.
A missed time while strangers had the host or the generator was late, a missed rate while the host was full and the node far from using one core: UNKNOWN too (host limited).

| metric | kind | |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    text = TOPOLOGY
    for name, shape in SHAPES.items():
        numbers = ", ".join(f"{key} ({value:g})" for key, value in shape.parameters.items()) or "–"
        text += f"| {name} | {numbers} | {shape.sentence} |\n"
    text += SCENARIO.format(
        patterns=", ".join(PATTERNS),
        words=", ".join(
            [
                *WORDS,
                "toxic",
                "up",
                "down",
                'half_open ("new", "established")',
                "one_way",
                "part",
                "name",
            ]
        ),
        operations=", ".join(operation.word for operation in Operation),
        arrivals=", ".join(Arrivals),
        statistics=", ".join(STATISTICS),
        comparisons=" ".join(COMPARISONS),
        units=", ".join(UNITS),
    )
    for name, metric in METRICS.items():
        text += f"| `{name}` | {metric.kind} | {metric.sentence} |\n"
    return text


if __name__ == "__main__":
    TARGET.write_text(page())
