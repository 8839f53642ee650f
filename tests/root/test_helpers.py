"""Helpers over real pipes: answers in any order, and what shows that one lies or has ended."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import warnings

import pytest
from kit.desk import has_ended, wait_for

from harness.systems.transports import helpers
from harness.systems.transports.helpers import Helper

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
def here():
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(helpers, "TOLD_AFTER_S", 0.0)


def helped(here, folder, program, scene):
    """What a scene returns that has this helper, and what became doubtful."""
    doubts = []

    async def whole():
        argv = [sys.executable, "-uc", f"import sys\n{program}"]
        helper = Helper(here, argv, folder, {"WORD": "secret-word"}, doubts.append)
        try:
            return await asyncio.wait_for(scene(helper), 60)
        finally:
            await helper.close()

    return asyncio.run(whole()), doubts


async def ask(helper, words="do it"):
    return await helper.ask(words)


def test_answers_may_come_in_any_order(here, tmp_path):
    program = """
first, second = (input().split(' ', 1) for _ in range(2))
for number, words in (second, first):
    print(number, 'ok', words)
input()
"""

    async def scene(helper):
        return await asyncio.gather(ask(helper, "one"), ask(helper, "two words"))

    assert helped(here, tmp_path, program, scene) == ([("ok", "one"), ("ok", "two words")], [])


LIARS = {
    "twice": ("print(number, 'ok'); print(number, 'ok')", "an answer that was given before"),
    "another's": (
        "print('0123456789abcdef', 'ok'); print(number, 'ok')",
        "or to what nobody asked",
    ),
    "no word": ("print(number, 'done')", "answered 'done'; expected one of ok, failed, unknown"),
    "an echo": ("print(number, words)", "answered 'do it'; expected one of ok, failed, unknown"),
}


@pytest.mark.parametrize("which", LIARS)
def test_one_who_lies_is_told(here, tmp_path, which):
    does, says = LIARS[which]
    program = f"for line in sys.stdin:\n    number, words = line.strip().split(' ', 1)\n    {does}"

    async def scene(helper):
        answer = await ask(helper)
        await asyncio.sleep(0.1)
        return answer[0]

    word, doubts = helped(here, tmp_path, program, scene)
    assert word == ("ok" if which in ("twice", "another's") else "unknown")
    assert len(doubts) == 1
    assert says in doubts[0]


def test_an_answer_before_it_was_asked_is_told(here, tmp_path):
    async def scene(helper):
        reports = helper.reports()
        assert await anext(reports) is None
        assert await anext(reports) == "here it is"
        await reports.aclose()
        return await ask(helper)

    program = """
print('1 ok')
print('report here it is')
print(input().split()[0], 'ok fine')
input()
"""
    answer, doubts = helped(here, tmp_path, program, scene)
    assert answer == ("ok", "fine")
    [doubt] = doubts
    assert doubt.startswith(f"its helper {sys.executable} said '1 ok': an answer that was given")


def test_a_late_answer_is_let_go_and_a_second_one_is_told(here, tmp_path):
    program = """
late = input().split()[0]
print('report asked')
number = input().split()[0]
print(late, 'ok'); print(number, 'ok')
print(late, 'ok')
input()
"""

    async def scene(helper):
        reports = helper.reports()
        assert await anext(reports) is None
        first = asyncio.create_task(ask(helper))
        assert await anext(reports) == "asked"
        first.cancel()
        return await ask(helper)

    async def and_wait(helper):
        answer = await scene(helper)
        await asyncio.sleep(0.1)
        return answer

    answer, doubts = helped(here, tmp_path, program, and_wait)
    assert answer == ("ok", "")
    assert len(doubts) == 1


def test_one_that_ends_is_told_with_its_last_words_and_started_anew(here, tmp_path, monkeypatch):
    monkeypatch.setattr(helpers, "AGAIN_S", 0.0)
    program = """
number = input().split()[0]
import os
if not os.path.exists('died'):
    open('died', 'w')
    sys.exit('no more ' + os.environ['WORD'][:6])
print(number, 'ok again')
input()
"""

    async def scene(helper):
        reports = helper.reports()
        assert await anext(reports) is None
        with pytest.raises(ConnectionError, match=r"exit code 1\): no more secret"):
            await ask(helper)
        with pytest.raises(StopAsyncIteration):
            await anext(reports)
        return await ask(helper)

    answer, doubts = helped(here, tmp_path, program, scene)
    assert answer == ("ok", "again")
    assert [each.partition(" said")[2] for each in doubts] == [
        " no more (exit code 1): no more secret"
    ]


def test_nothing_of_it_is_left(here, tmp_path):
    program = """
import subprocess
child = subprocess.Popen(['sleep', '1000'])
print(input().split()[0], 'ok', child.pid)
input()
"""

    async def scene(helper):
        return int((await ask(helper))[1])

    pid, _ = helped(here, tmp_path, program, scene)
    wait_for(lambda: has_ended(pid))


def test_one_that_is_closed_leaves_nothing_open(here, tmp_path):
    """Nobody reads to its end what says too much: its pipes were closed as memory was cleared."""

    async def scene(helper):
        with pytest.raises(ConnectionError, match="a line of more than"):
            await ask(helper)

    program = "input(); print('x' * (1 << 24)); input()"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ResourceWarning)
        helped(here, tmp_path, program, scene)
        gc.collect()
    assert [str(one.message) for one in said] == []
