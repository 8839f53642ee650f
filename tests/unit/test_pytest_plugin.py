"""What the plugin says before any cluster: options, the marker, and a host that cannot."""

from __future__ import annotations

import pytest

import harness

# Loaded before a session is run inside of this one, which forgets the modules that it loads: numpy
# cannot be loaded twice.
assert harness.up

pytest_plugins = ["pytester"]

USES = """
def test_it(cluster):
    raise AssertionError("it was started")
"""
SOUND = ("--p2p-runtime", "docker", "-p", "no:cacheprovider")


@pytest.fixture
def run(pytester, monkeypatch):
    """A session of pytest without an engine."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    monkeypatch.delenv("HARNESS_REQUIRE_ALL", raising=False)

    def ran(text, *options):
        pytester.makepyfile(text)
        return pytester.runpytest_inprocess("-rs", *options)

    return ran


def test_what_a_host_lacks_is_a_skip_with_the_reason(run):
    said = run(USES, *SOUND)
    said.assert_outcomes(skipped=1)
    said.stdout.fnmatch_lines(["*needs a cluster of cluster-10 on docker: *"])


def test_where_all_is_required_it_is_an_error(run, monkeypatch):
    monkeypatch.setenv("HARNESS_REQUIRE_ALL", "1")
    said = run(USES, *SOUND)
    said.assert_outcomes(errors=1)
    said.stdout.fnmatch_lines(["*HARNESS_REQUIRE_ALL=1 and needs a cluster*"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--p2p-runtime", "dokcer"], "*--p2p-runtime: *did you mean 'docker'*"),
        (["--p2p-scope", "class"], "*--p2p-scope: expected one of function, module, session*"),
    ],
)
def test_an_option_that_is_none_is_refused_before_any_test(run, options, said):
    found = run(USES, *options)
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines([said])


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ('"cluster-10", scope="modul"', "*scope: *did you mean 'module'*"),
        ('"cluster-10", "netns"', "*expected topology(name, scope=None, system=None)*"),
        ('topolgy="cluster-10"', "*expected topology(name, scope=None, system=None)*"),
        ('"cluster-11"', "*cluster-11: no such file*did you mean*"),
    ],
)
def test_a_marker_that_is_none_is_an_error(run, marker, said):
    found = run(
        f"import pytest\n@pytest.mark.topology({marker})\ndef test_it(cluster): pass\n",
        "--strict-markers",
    )
    found.assert_outcomes(errors=1)
    found.stdout.fnmatch_lines([said])
