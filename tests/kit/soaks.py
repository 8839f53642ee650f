"""A soak as it was asked for."""

from __future__ import annotations

from harness.experiments.soak.folder import Asked

ASKED = Asked(
    name="soak-x",
    what="x",
    seed=1,
    for_s=1800.0,
    lengths_s=(600.0, 600.0, 600.0),
    scenario="inputs/scenarios/x.toml",
    topology="inputs/topologies/t.toml",
    budget=None,
    system="meshnode",
    runtime="netns",
    cluster="main",
    workers=1,
    raw_s=3600.0,
    started="2026-11-30T00:00:00+00:00",
    planned_bytes=1000,
)
SCENARIO = "[soak]\n[[soak.stream]]\noperation = 'broadcast'\nrate_per_s = 1\n"
