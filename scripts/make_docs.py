"""Writes docs/files.md from the tables in the code (shapes, metrics, units), so that it cannot be
out of date.

``python scripts/make_docs.py`` writes; a unit test compares.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness import profiles
from harness.checks import statistic
from harness.checks.metrics import METRICS
from harness.faults.churn import WAYS, Sessions
from harness.faults.fault import State
from harness.faults.partitions import PATTERNS
from harness.faults.words import CONDITIONS, OF_NODES, STATES
from harness.history.plan import PhaseKind
from harness.operations import Operation
from harness.profiles.spec import Start
from harness.scenario.budget import COMPARISONS, UNITS
from harness.scenario.stream import Arrivals
from harness.systems.adapters import TABLE, meshnode, serf
from harness.topology.impairment import WORDS
from harness.topology.shapes import SHAPES

TARGET = Path(__file__).parent.parent / "docs" / "files.md"

TOPOLOGY = """# Topology, scenario and budget files

They are TOML. An unknown key is refused. `harness check FILE` tells by what stands in it whether a
file is a topology, scenario, suite, soak, budget, gate or command file, a `locust.conf`, a bundle
or a run folder, and says what is wrong with it
without running anything. This page is generated from the tables in the code
(`python scripts/make_docs.py`).

## Topology

```toml
name = "my-cluster"              # default: the file's name
adapter = "meshnode"             # the system under test; default meshnode
seed = 1                         # of random shapes
silence_s = 30                   # a starting node that says nothing new for so long has failed
congestion_control = "reno"      # of TCP; default: the host's (bbr ignores a loss of 1 %)
gso_max_segs = 1                 # a lost packet of TCP is 1,448 bytes; default: up to 64 kB
addresses = "198.18.0.0/15"      # IPv4 block of the cluster; each region gets a part of it

[nodes]                          # a group: node-0 … node-99
count = 100
prefix = "node"
regions = ["eu", "us"]           # the group is divided equally, in this order
options = {{ k = 20 }}             # of the system under test
disk = "8mb"                     # each on a disk of its own, which can be full (faults.md); root
own_clock = true                 # each with a clock of its own, which can be set (faults.md)

[[node]]                         # and single ones
name = "sink"
region = "eu"                    # options, disk and own_clock too

[shape]                          # who is linked with whom; default, without links: random-regular
kind = "random-regular"
degree = 8

[[link]]
between = ["sink", "node-0"]

[[region_link]]                  # always there between two regions, both ways
between = ["eu", "us"]
delay = "40ms"
one_way = false                  # true: only from the first to the second
```

| key | values |
|---|---|
| `adapter` | {systems}, a command file (`FILE.toml`) beside this one, or `module:Class` |
| `options` | of meshnode: {meshnode}; of serf: {serf} |

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
checks = ["ordered"]             # beyond what every run is held to (checkers.md); or module:function

[[phase]]                        # phases follow each other; each is judged by itself
name = "active"
kind = "steady"                  # what it is for, and so what of it is judged (scenarios.md)
duration_s = 20
[[phase.stream]]                 # an open model: due by the clock, waits for no answer
operation = "private_message"
rate_per_s = 1000                # or over time: [[0, 100], [30, 1000]] (below)
payload_bytes = 256
target = "node-0"                # of private messages; default: a random node for each
sources = ["node-1"]             # default: all nodes but the target, in seeded random order
arrivals = "uniform"             # {arrivals}
timeout_ms = 10000               # an operation without an answer by then is UNKNOWN
after_s = 1                      # the stream begins so long after its phase
count = 1000                     # the stream ends after so many; with a high rate it is a burst
# keys = 8                       # of dht_put, dht_get: all that say 8 share these; default: a put its own

[[phase.fault]]                  # something goes wrong in that phase (faults.md)
where = "node-1 -> node-2"       # or cut = "halves"
delay = "50ms"
at_s = 5                         # after the phase began; default 0
for_s = 10                       # default: to the phase's end
flap_s = 2                       # meanwhile it comes and goes, 2 s each time; default: it stays

[[phase.profile]]                # what somebody does with its time or memory (profiles.md)
who = "node-3"                   # a node, supervisor, gateway, worker, worker-2
with = "py-spy"                  # {profilers}; default py-spy
start = "phase"                  # {starts}: with the phase, or when a row of it first fails
at_s = 5                         # after that; default 0
for_s = 10                       # default: to the phase's end

[[phase.churn]]                  # nodes leave and join again (faults.md)
rate_per_s = 0.5                 # so many leave a second, all together
down_s = 3                       # each is away for so long
floor = 7                        # so many of them live at all times
where = "all"                    # who may leave; default all
sessions = "weibull"             # {sessions}; how long each lives
shape = 0.6                      # of weibull: below 1 many short sessions and a few long ones
how = "crashed"                  # {ways}; default killed
state = "wipe"                   # {states}; default keep
at_s = 5                         # after the phase began; default 0
for_s = 30                       # default: to the phase's end
[[phase]]                        # ends when a condition holds (scenarios.md)
name = "converge"
kind = "converge"
until = "coverage of the last second >= 100 %"
at_most_s = 40
[[phase.stream]]
operation = "broadcast"
rate_per_s = 10

[[phase]]                        # measures a path by a tool that is not ours, beside the load
name = "reference"
duration_s = 8
iperf3 = ["node-1", "node-2"]    # from the first to the second
```

| key | values |
|---|---|
| `kind` | {kinds}; default: none, and everything is judged |
| `operation` | {operations}; or one that the system has [of its own](your-own-node.md#operations-of-your-own) |
| `cut` | {patterns} |
| a fault's own | {words} |

A **rate over time** is a list of points `[seconds, rate]`, which straight lines connect; seconds
count from where the stream begins, the last rate stays. `[[0, 100], [30, 1000]]` is a ramp, two
points of one time are a step (`[[0, 100], [30, 100], [30, 1000]]`), a rate of 0 is a pause or the
end. It goes with uniform arrivals (operation k is due when the rate has added up to k) and with
Poisson ones. Like every schedule it is a pure function of file and seed, so the judge replays it
exactly.

**When it is sent.** Up to 2,000 operations a second a load worker sends each by itself, some 60 µs
after it is due. Above that it sends together what is due: when 32 operations are, or when the first
has waited for 60 % of the lateness that the budget allows (the least of 1 ms or 5 % of the bound of
every time in it, whichever is more; of a `pacer.lag` its bound). That wait is part of each latency,
which is counted from when the operation was due; a row says how much of its p50 it is. Answers are
read then too, which changes no time: nodes stamp them.

A **suite** is a file in the same folder with `parts = ["meshara-10", …]` and `budget`. Its
scenarios are played one after another and answer for one budget together; every row names the
`scenario` that measures it.

## Budget

```toml
source = "where it was promised"

[[row]]
name = "end-to-end private message p99"
metric = "private_message.end_to_end"
statistic = "p99"                # {statistics} (of those that came true), slope
comparison = "<"                 # {comparisons}; default <, strict
bound = 50                       # left out: measured, not promised, never PASS
unit = "ms"
phase = "active"
nodes = 10                       # condition: exactly so many nodes
node = "node-0"                  # of what is measured by node: judged on this one, not the worst
received_per_s = 1000            # condition: `node` received so many messages a second (−1 %)
under = "wan"                    # condition: this fault was in force, and its amount was shown
scenario = "meshara-10"          # what measures it; a run of another scenario leaves the row out
stretch = 20                     # a further aim; said beside the answer, never judged
factor = 2                       # of *.return_to_baseline: within how much of the steady phase's
process = "harness"              # of a slope: judged on processes of the harness, not on nodes
within = "5s"                    # of broadcast.coverage: of what came so soon after it was due
```

`within` makes a share of what came in time: a broadcast that was sent late by a twentieth of it is
none of the system's, and a row that was missed while others had the host is UNKNOWN, as a time is.

`slope` is how fast a resource grows ([leaks](leaks.md)): of `memory`, `rss`, `fds`, `threads`,
`connections` and `disk`, in the units that end in `/h`, which are of nothing else.

| key | values |
|---|---|
| `unit` | {units} |

A row is UNKNOWN, with the cause, where a condition was not met, its phase was not played, or there
are too few samples for the statistic. Whose fault it was is asked as well:

- *generator fell behind*, *the node was stopped by the harness*: what the generator sent late (by
  more than 1 ms and 5 % of the row's bound) or never, and what was lost because the harness had
  stopped its source or target, are no operations of the system. A row is UNKNOWN where its answer
  is one if they all had met the promise and another as they came (what was never sent: had it
  missed the promise). Times, rates and resources are UNKNOWN also where the load as a whole was
  another one than planned: more than 1 % of a phase's operations 250 ms late, or more than 0.1 %
  never sent.
  A time that was missed and holds from when each operation was sent is UNKNOWN too: the generator's
  own wait decided it.
- *nothing to read yet*: likewise for a get that was due when no put of another node had been
  acknowledged to its load worker. It is recorded and was never sent; more than 1 % of them in a
  phase make another load. Where no put is ever acknowledged, nothing is known of gets.
- *the gateway stood still*: likewise for an operation during which our gateway, which speaks to
  nodes of systems without a control socket, stood still for longer than that.
- *a fault stood too long*: likewise for an operation under way while a fault stood that was to be
  gone before the phase began.
- *host limited*, of a row that was missed: a time that was too long, or a goodput that was too
  low, while other processes used a fifth of a full host, or more of it than the run did and some
  node waited for a core for 5 % of a second or more, as its kernel counts (run delay); while the
  hypervisor took 10 % of it; while the control group that the harness runs in had used up its CPU
  quota (for 0.5 % of the host's time); while other processes moved most of what its disks moved,
  some task waited for a disk for a fifth of a second or more, and some node used one. Likewise a
  share of operations that came true, where it is kept without those that came then, as their
  receivers' journals show, and after their time, or that their sender gave up then (gets,
  lookups, files, connections); a rate, while the host was full, or others had
  the core that a node wanted, or the disks for half of the phase, and the node was far from using
  a core. What was too fast is FAIL. Where some node waited for a core for half of
  a second or more, others having most of the host, also what nodes gave up (puts too), refused or
  did not find then, and the links and members that they tell of: their own times run out. Of a row
  that was kept: a CPU below its bound, where it would not be with what the node waited for while
  others had most of the host; a rate below its bound, where nodes waited so for half of the time;
  either, where others had the disks for half of the phase; a time above its bound, where it is not
  without what was under way while others had the host. Of a share of what iperf3 carried, kept or
  missed, where it is more than it might be: others had the host while iperf3 sent. Of
  `cluster.ready`: others had a fifth of the host while the cluster started.

What was sent and is lost, duplicated or wrong is FAIL on any host. Where none of the operations
that a row is about was sent, it is UNKNOWN: no promise is kept by them. A private message that was
sent late, or to a stopped node, may have met a new peer all the same, so that no later one of that
pair counts as the first; one that was never sent met nobody. A row that names a `node` and
whose metric is not measured by node is UNKNOWN without `received_per_s`.

What a node tells of itself once, at the phase's end, such as `node.links`, is one value: `min` and
`max` are of nodes and say nothing of the rest of the phase, so it is shown as *3 at node-0, at the
phase's end*.

A system's own metrics are named as it names them. They come from pages of metrics (`[metrics]` of a
[command file](your-own-node.md#7-what-the-system-knows-itself)), once a second, or from the numbers
of a driver's `health` and its `histograms`, once a phase:

| metric | |
|---|---|
| `gauge.NAME` | what each node told, each second of the phase; of `health` at its end |
| `rate.NAME` | what a counter gained, a second: between the first and the last page of the phase, the sum over the lives of the node's process, never last minus first |
| `histogram.NAME` | values that nodes count in buckets: a percentile, `min` and `max` are known to the width of their bucket, and a row whose bound lies inside it is UNKNOWN; `mean` is sum by count; `count` is how many |

- Labels choose: `metric = 'rate.http_requests_total{{code="500"}}'`. Series that have these labels,
  and maybe more, are added up in a rate and a histogram. Of a gauge a node must tell just one.
- The end of a name is its unit: `_seconds` is a time (a rate of it a share), `_bytes` a size (byte
  rate), `_ratio` a share; all else is a plain number (`1`, a rate `1/s`).
- The worst node is judged, or `node`. One that did not tell it makes the row UNKNOWN; in a
  histogram one that measured nothing is left out.
- A name that no node told is UNKNOWN, with what is near and what was told.
- A counter that begins anew with its node goes on. What it counted between the last page and the
  end of the process nobody saw: the rate is *at least* so much, and a row that promises less is
  UNKNOWN. A series that comes later counts from 0.
- *Not believed*, and UNKNOWN: a counter that falls while its node runs, that is no number, below 0,
  or is told no more; a gauge that is no number; buckets that hold less than those inside them.
- Pages that did not come, were late, or were refused are a gap of that node where they are more
  than a tenth of a phase or 3 s in a row: rows about it are UNKNOWN, with why.

Of an operation that the system has [of its own](your-own-node.md#operations-of-your-own), `NAME`,
there are `NAME.latency` (time: until its sender was told, and its witness had it), its share, by
its ledger (`NAME.delivered`, `received`, `stored`, `answered`, `done`), and
`NAME.return_to_baseline`.

| metric | kind | |
|---|---|---|
"""


def code(words: Iterable[str]) -> str:
    """Words as a list of code."""
    return ", ".join(f"`{word}`" for word in words)


def page() -> str:
    """The whole page."""
    text = TOPOLOGY.format(
        systems=code(TABLE), meshnode=code(meshnode.OPTIONS), serf=code(serf.OPTIONS)
    )
    for name, shape in SHAPES.items():
        numbers = ", ".join(f"{key} ({value:g})" for key, value in shape.parameters.items()) or "–"
        text += f"| {name} | {numbers} | {shape.sentence} |\n"
    text += SCENARIO.format(
        patterns=code(PATTERNS),
        words=code([*WORDS, "toxic", "up", "down", "one_way", "part", "name", "half_open"])
        + " (`new` or `established`), "
        + code(["condition"])
        + f" ({code(CONDITIONS)}), "
        + code(["state"])
        + f" ({code(STATES)}), "
        + code(OF_NODES),
        kinds=code(PhaseKind),
        operations=code(operation.word for operation in Operation),
        arrivals=", ".join(Arrivals),
        sessions=", ".join(Sessions),
        profilers=", ".join(profiles.TABLE),
        starts=", ".join(Start),
        ways=", ".join(WAYS),
        states=", ".join(State),
        statistics=", ".join(statistic.NAMES),
        comparisons=" ".join(COMPARISONS),
        units=code(UNITS),
    )
    for name, metric in METRICS.items():
        text += f"| `{name}` | {metric.kind} | {metric.sentence}{metric.moment} |\n"
    return text


if __name__ == "__main__":
    TARGET.write_text(page())
