"""Joining asks a node once all are up; of others that are up alone where the file says so."""

from __future__ import annotations

import asyncio

from kit.spoken import SPOKEN, spoken, told_to

from harness.systems.adapters import command_join

OF_THOSE_UP = SPOKEN.replace('each = "peers"', 'each = "up"')


async def until(driver, living, status):
    """Ask whether a node is ready, until it says this."""
    said = None
    while said != status:
        said = await driver.ready(living)
        await asyncio.sleep(0)


def test_of_those_that_are_up_nobody_is_asked_of_one_that_is_not(tmp_path):
    """A node that returned while another was down could never be ready."""
    heard = []

    async def scene(driver, reports):
        reports.up.add("b")
        await until(driver, 2, "")

    answers = told_to(heard, lambda words: "PONG\n" if words == ["PING"] else "OK\n")
    spoken(tmp_path, answers, scene, OF_THOSE_UP)
    assert [each for each in heard if each != "PING"] == ["MEET 198.18.0.2"]


def test_of_one_that_went_meanwhile_nobody_is_asked_again(tmp_path, monkeypatch):
    monkeypatch.setattr(command_join, "AGAIN_S", 0.0)
    heard = []

    async def scene(driver, reports):
        reports.up |= {"b", "c"}
        busy = "joining, step 1: the node answered: BUSY { it is (expected '^OK')"
        await until(driver, 3, busy)
        reports.up.discard("b")
        await until(driver, 2, "")

    def answers(words):
        busy = words == ["MEET", "198.18.0.2"]
        return "PONG\n" if words == ["PING"] else "BUSY  {  it is\n" if busy else "OK\n"

    spoken(tmp_path, told_to(heard, answers), scene, OF_THOSE_UP)
    asked = [each for each in heard if each != "PING"]
    assert set(asked[:-1]) == {"MEET 198.18.0.2"}
    assert asked[-1] == "MEET 198.18.0.3"
