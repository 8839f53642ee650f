"""Files: what is right is read, and what is wrong is refused with the place, what was expected,
found and possible.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import BadFileError
from harness.scenario import files, shipped
from harness.topology.topology import Topology


def write(folder: Path, text: str, name: str = "a.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_every_shipped_file_is_good():
    for path in (shipped.root() / "topologies").glob("*.toml"):
        assert files.read_topology(path).nodes
    for path in (shipped.root() / "scenarios").glob("*.toml"):
        planned = files.read_suite(path)
        assert planned.parts if planned else files.read_scenario(path).phases
    for path in (shipped.root() / "budgets").glob("*.toml"):
        assert files.read_budget(path).rows


def test_no_quiet_is_promised_of_the_first_moments_after_the_start():
    """What nodes still tell each other then made `first-budget` FAIL in two runs of three."""
    for path in (shipped.root() / "scenarios").glob("*.toml"):
        if files.read_suite(path) is not None:
            continue
        planned = files.read_scenario(path)
        first = planned.phases[0]
        if planned.budget is None or first.streams:
            continue
        promised = [
            row.name
            for row in files.read_budget(planned.budget).rows
            if row.conditions.scenario in (None, planned.name)
            and row.conditions.phase == first.name
            and row.metric in ("network", "cpu")
            and row.bound is not None
        ]
        assert promised == [], path.name


def test_explicit_nodes_links_regions_and_options(tmp_path):
    found = files.read_topology(
        write(
            tmp_path,
            """
[[node]]
name = "a"
region = "eu"
options = { k = 4 }
[[node]]
name = "b"
region = "us"
[[link]]
between = ["b", "a"]
""",
        )
    )
    assert [node.name for node in found.nodes] == ["a", "b"]
    assert found.links == frozenset({("a", "b")})
    assert found.regions == ("eu", "us")
    assert found.nodes[0].options == {"k": 4}


def test_nodes_have_a_disk_of_their_own_where_it_is_asked(tmp_path):
    own = '[[node]]\nname = "a"\ndisk = "8mb"\n[[node]]\nname = "b"'
    text = f'[nodes]\ncount = 1\ndisk = "2mb"\n{own}'
    found = files.read_topology(write(tmp_path, text))
    assert [node.disk_bytes for node in found.nodes] == [2_000_000, 8_000_000, 2_000_000]
    assert Topology.from_json(found.as_json()) == found
    plain = files.read_topology(write(tmp_path, "[nodes]\ncount = 1"))
    assert plain.as_json()["nodes"] == [{"name": "node-0", "region": "default", "options": {}}]
    for wrong, says in (("5kb", "at least 1,000,000 bytes, found 5,000"), ("5", "expected a size")):
        with pytest.raises(BadFileError, match=says):
            files.read_topology(write(tmp_path, f'[nodes]\ncount = 1\ndisk = "{wrong}"'))


def test_regions_of_a_group_stand_in_blocks(tmp_path):
    found = files.read_topology(
        write(tmp_path, '[nodes]\ncount = 5\nregions = ["eu", "us"]\n[shape]\nkind = "ring"\n')
    )
    assert [node.region for node in found.nodes] == ["eu", "eu", "eu", "us", "us"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[nodes]\ncuont = 10\n",
            ["nodes.cuont", "unknown key", "did you mean 'count'", "regions"],
        ),
        ("[nodes]\ncount = 'ten'\n", ["nodes.count", "whole number", "'ten'"]),
        ("[nodes]\ncount = true\n", ["nodes.count", "whole number"]),
        ("[nodes]\ncount = 0\n", ["at least 1 node", "found 0"]),
        ("[nodes]\ncount = 10000000\n", ["1 to 1,000,000", "10,000,000"]),
        ("[nodes]\ncount = 4\n[shape]\nkind = 'blob'\n", ["shape.kind", "ring", "'blob'"]),
        (
            "[nodes]\ncount = 4\n[shape]\nkind = 'ring'\ndegree = 3\n",
            ["shape.degree", "no such number", "none"],
        ),
        ("[nodes]\ncount = 5\n[shape]\nkind = 'random-regular'\ndegree = 3\n", ["odd"]),
        ("[[node]]\nname = 'a'\n[[node]]\nname = 'a'\n", ["'a'", "stands twice"]),
        ("[[node]]\nname = 'A b'\n", ["node[1]", "a-z"]),
        (
            "[[node]]\nname = 'alpha'\n[[link]]\nbetween = ['alpha', 'alhpa']\n",
            ["link[1].between", "no node 'alhpa'", "did you mean 'alpha'"],
        ),
        ("[[node]]\nname = 'a'\n[[link]]\nbetween = ['a']\n", ["link[1].between", "two nodes"]),
        ("[[node]]\nname = 'a'\n[[link]]\nbetween = ['a', 'a']\n", ["linked to itself"]),
        ("addresses = 'fd00::/64'\n[nodes]\ncount = 2\n", ["IPv6", "not supported yet"]),
        ("addresses = '10.0.0.0/99'\n[nodes]\ncount = 2\n", ["addresses", "10.0.0.0/99"]),
        ("nodes = 5\n", ["nodes", "a table", "5"]),
        (
            "[nodes]\ncount = 2\nregions = ['a', 'b', 'c']\n",
            ["nodes.regions", "at most a region a node", "3 of 2 nodes"],
        ),
        (
            "[nodes]\ncount = 2\nregions = ['a']\n"
            + "[[region_link]]\nbetween = ['a', 'a']\ndelay = '5ms'\n" * 2,
            ["region_link[2].between", "a to a stands twice"],
        ),
        (
            "[nodes]\ncount = 2\nregions = ['a']\n[[region_link]]\nbetween = ['a', 'a']\n",
            ["region_link[1]", "at least one of delay", "found none"],
        ),
        ("[nodes\n", ["not valid TOML", "line 1"]),
    ],
)
def test_a_bad_topology_says_where_what_was_expected_and_found(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(BadFileError) as raised:
        files.read_topology(path)
    for word in (str(path), *words):
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("topology = 'nowhere'\n", ["'nowhere' names no file"]),
        (f"topology = '{'x' * 300}'\n", ["names no file"]),
        ("topology = 't.toml'\n", ["at least 1 phase"]),
        ("topology = 't.toml'\nchecks = 'ordered'\n", ["checks: expected a list"]),
        ("topology = 't.toml'\nchecks = [1]\n", ["checks: expected a list of texts", "1"]),
        ("topology = 't.toml'\nchecks = ['a', 'a']\n", ["checks: 'a' stands twice"]),
        ("name = 'latest'\ntopology = 't.toml'\n", ["scenario name 'latest'", "of its own"]),
        (
            f"topology = 't.toml'\n[[phase]]\nname = 'a'\nduration_s = 1{'0' * 400}\n",
            ["phase[1].duration_s", "1023 bits"],
        ),
        (f"seed = {'1' * 5000}\n", ["not valid TOML"]),
        (f"seed = {'[' * 5000}\n", ["not valid TOML"]),
        (
            (
                "topology = 't.toml'\n[[phase]]\nname = 'a'\nduration_s = 1\n[[phase.stream]]\n"
                f"operation = 'broadcast'\nrate_per_s = [[0, 1], [0x1{'0' * 5000}, 1]]\n"
            ),
            ["rate_per_s", "20,001 bits"],
        ),
        ("topology = 't.toml'\nseed = -1\n", ["seed: expected 0 to", "-1"]),
        (f"topology = 't.toml'\nseed = {1 << 63}\n", ["seed: expected 0 to"]),
        ("topology = 't.toml'\n[[phase]]\nname = 'a'\n", ["phase[1].duration_s", "required"]),
        ("topology = 't.toml'\n[[phase]]\nname = 'a'\nduration_s = -1\n", ["above 0", "-1"]),
        (
            (
                "topology = 't.toml'\n[[phase]]\nname = 'a'\nduration_s = "
                "1\n[[phase.stream]]\noperation = 'fly'\nrate_per_s = 1\n"
            ),
            ["phase[1].stream[1].operation", "broadcast", "'fly'"],
        ),
        (
            (
                "topology = 't.toml'\n[[phase]]\nname = 'a'\nduration_s = "
                "1\n[[phase.stream]]\noperation = 'broadcast'\nrate_per_s = 0\n"
            ),
            ["rate_per_s", "above 0"],
        ),
        (
            (
                "topology = 't.toml'\n[[phase]]\nname = 'a'\nduration_s = "
                "1\n[[phase.stream]]\noperation = 'private_message'\nrate_per_s = 1\n"
                "target = 'zoe'\n"
            ),
            ["no node 'zoe'"],
        ),
        (
            (
                "topology = 't.toml'\n[[phase]]\nname = 'a'\nduration_s = 1\n[[phase]]\nname = "
                "'a'\nduration_s = 1\n"
            ),
            ["'a' stands twice"],
        ),
    ],
)
def test_a_bad_scenario_says_what_is_wrong(tmp_path, text, words):
    write(tmp_path, "[nodes]\ncount = 3\n[shape]\nkind = 'ring'\n", "t.toml")
    with pytest.raises(BadFileError) as raised:
        files.read_scenario(write(tmp_path, text))
    for word in words:
        assert word in str(raised.value)


ROW = "[[row]]\nname = 'r'\nmetric = 'rss'\nstatistic = 'max'\nphase = 'load'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["at least 1 row"]),
        (ROW, ["row[1].unit", "required"]),
        (ROW + "unit = 'furlongs'\n", ["unit", "MB", "'furlongs'"]),
        (ROW + "unit = 'MB'\nbuond = 3\n", ["row[1].buond", "did you mean 'bound'"]),
        (ROW + "unit = 'MB'\ncomparison = '~'\n", ["comparison", ">="]),
        ((ROW + "unit = 'MB'\n") * 2, ["stands twice"]),
    ],
)
def test_a_bad_budget_says_what_is_wrong(tmp_path, text, words):
    with pytest.raises(BadFileError) as raised:
        files.read_budget(write(tmp_path, text))
    for word in words:
        assert word in str(raised.value)


def test_a_missing_file_and_a_folder_are_said_so(tmp_path):
    with pytest.raises(BadFileError, match="no such file"):
        files.read_topology(tmp_path / "none.toml")
    with pytest.raises(BadFileError, match="found a folder"):
        files.read_topology(tmp_path)


plain = st.one_of(
    st.integers(-5, 200), st.booleans(), st.floats(allow_nan=False), st.text(max_size=8), st.none()
)
nested = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "nodes",
                    "node",
                    "link",
                    "between",
                    "count",
                    "shape",
                    "kind",
                    "degree",
                    "options",
                    "seed",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["name", "nodes", "node", "link", "shape", "seed", "addresses", "adapter"]),
        nested,
        max_size=6,
    )
)
def test_no_table_whatever_it_holds_breaks_the_reader(values):
    try:
        found = files.topology_from(
            {key: value for key, value in values.items() if value is not None}, "x.toml", "x"
        )
    except BadFileError:
        return
    assert found.nodes
