"""Clocks of nodes' own: what a program reads, how long it waits, and what a run shows of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from kit.desk import PROMISES, Desk, begin_by_hand, wait_for

from harness.control.client import Client
from harness.history import reader
from harness.history.proof import Proof, ProofAnswer
from harness.runtimes.runtime import Image, Place, Process
from harness.supervisor.clocks import Clocks
from harness.topology.topology import Node

pytestmark = pytest.mark.root
READER = """
import time
print("up", flush=True)
while True:
    print(time.time() - time.monotonic(), flush=True)
    time.sleep(0.02)
"""
SYSTEM = """
name = "reader"
[start]
argv = ["{program}"{arguments}]
files = ["reader.py"]
[ready]
log = "^up"
[send.dht_put]
exec = ["true"]
"""
TWO = "[nodes]\ncount = 2\nown_clock = true\n[shape]\nkind = 'full-mesh'\n"
WAITS = """
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
static double now(clockid_t clock) {
    struct timespec at; clock_gettime(clock, &at); return at.tv_sec + at.tv_nsec / 1e9;
}
static struct timespec in(clockid_t clock) {
    struct timespec at; clock_gettime(clock, &at);
    at.tv_nsec += 50000000; if (at.tv_nsec > 999999999) at.tv_sec++, at.tv_nsec -= 1000000000;
    return at;
}
#define TAKES(call) \
    { double from = now(CLOCK_MONOTONIC); call; printf("%f\\n", now(CLOCK_MONOTONIC) - from); }
int main(void) {
    sem_t semaphore; sem_init(&semaphore, 0, 0);
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, held = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER, steady;
    pthread_condattr_t attributes; pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&steady, &attributes);
    pthread_mutex_lock(&mutex); pthread_mutex_lock(&held);
    struct timespec wall, monotonic;
    wall = in(CLOCK_REALTIME); TAKES(sem_timedwait(&semaphore, &wall))
    wall = in(CLOCK_REALTIME); TAKES(pthread_cond_timedwait(&condition, &mutex, &wall))
    monotonic = in(CLOCK_MONOTONIC); TAKES(pthread_cond_timedwait(&steady, &mutex, &monotonic))
    wall = in(CLOCK_REALTIME); TAKES(pthread_mutex_timedlock(&held, &wall))
    wall = in(CLOCK_REALTIME); TAKES(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &wall, NULL))
    monotonic = in(CLOCK_MONOTONIC);
    TAKES(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &monotonic, NULL))
    struct timeval old; gettimeofday(&old, NULL);
    printf("%f %ld %ld\\n", now(CLOCK_REALTIME), (long)time(NULL), (long)old.tv_sec);
}
"""
STATIC = (
    '#include <stdio.h>\n#include <unistd.h>\nint main(void){puts("up");fflush(stdout);pause();}'
)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "clocks")
    made.write("two.toml", TWO)
    made.write("promises.toml", PROMISES)
    made.write("reader.py", READER)
    arguments = ', "{directory}/reader.py"'
    made.write("reader.toml", SYSTEM.format(program="python3", arguments=arguments))
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


def ahead(desk: Desk, node: str) -> float:
    """How far the clock is ahead that a node's program reads, in seconds: what it said last."""
    log = (desk.state / desk.cluster / "nodes" / node / "log").read_text().splitlines()
    return float(log[-1]) - (time.time() - time.monotonic())


def sees(desk: Desk, node: str, seconds: float) -> None:
    wait_for(lambda: abs(ahead(desk, node) - seconds) < 0.01)


def test_a_program_reads_another_clock_while_it_runs_and_when_it_starts_again(desk):
    desk.ok("up", "two.toml", "--system", "reader.toml")
    desk.ok("fault", "set", "node-0", "--clock", "+90s", "--name", "c")
    sees(desk, "node-0", 90.0)
    sees(desk, "node-1", 0.0)
    desk.ok("fault", "set", "node-0", "--clock", "-1500ms", "--name", "d")
    sees(desk, "node-0", 88.5)
    desk.ok("fault", "set", "node-0", "--condition", "killed", "--state", "wipe", "--name", "k")
    desk.ok("fault", "clear", "k")
    sees(desk, "node-0", 88.5)
    desk.ok("fault", "clear", "c")
    sees(desk, "node-0", -1.5)
    desk.ok("fault", "clear", "d")
    sees(desk, "node-0", 0.0)
    os.kill(desk.status()["pid"], signal.SIGKILL)
    wait_for(lambda: not desk.processes())
    desk.ok("doctor")


def test_what_another_program_was_told_shows_nothing_of_the_one_that_runs(desk, monkeypatch):
    """A static one, which is not told, was "told" what the one before it was: in force."""
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    program = desk.folder / "static"
    source = desk.write("static.c", STATIC)
    subprocess.run(["cc", "-static", "-o", program, source], check=True)
    desk.ok("up", "two.toml", "--system", "reader.toml")
    with Client.connect(desk.cluster) as client:
        run = begin_by_hand(client, desk.runs)
        desk.ok("fault", "set", "node-0", "--clock", "+90s", "--name", "c")
        another = ("--condition", "restarted", "--command", str(program), "--name", "r")
        desk.ok("fault", "set", "node-0", *another)
        before = len(of_clock(run))
        wait_for(lambda: len(of_clock(run)) >= before + 3)
        client.end(run=run)
    assert ProofAnswer.IN_FORCE in {one.answer for one in of_clock(run)[:before]}
    # One look may have come while it was restarted.
    assert {one.answer for one in of_clock(run)[before + 1 :]} == {ProofAnswer.AMOUNT_NOT_SHOWN}


def of_clock(run: str) -> list[Proof]:
    lines = (Path(run) / "proofs.jsonl").read_text().splitlines()
    found = [Proof.from_json(json.loads(line)) for line in lines]
    return [one for one in found if one.what == "clock"]


@pytest.mark.parametrize("offset_s", [0.0, 90.0, -90.0])
def test_who_waits_until_a_time_waits_as_long_as_ever(tmp_path, offset_s):
    (tmp_path / "waits.c").write_text(WAITS)
    program = str(tmp_path / "waits")
    subprocess.run(["cc", "-pthread", "-o", program, tmp_path / "waits.c"], check=True)
    place = Place(
        node=Node(name="a", own_clock=True),
        index=0,
        address="198.18.0.1",
        directory=tmp_path,
        namespace=-1,
    )
    clocks = Clocks([place])
    [(_, process)] = clocks.give([(place, Process(argv=(program,), image=Image("waits")))])
    clocks.limit("a", offset_s)
    said = subprocess.check_output(process.argv, env=process.environment, text=True)
    *waited, times = said.splitlines()
    assert len(waited) == 6
    assert all(float(one) >= 0.05 for one in waited)
    if offset_s:  # by so much it would have waited longer, or not at all
        assert all(float(one) < 0.05 + abs(offset_s) for one in waited)
    by, seconds, old = times.split()
    assert abs(float(by) - time.time() - offset_s) < 40
    assert int(seconds) - int(float(by)) in (0, 1)
    assert int(old) - int(float(by)) in (0, 1)
    seen = clocks.look("a")
    assert (seen.told_ns, seen.loaded) == (round(offset_s * 1e9), 1)
    clocks.close()


def test_a_program_that_loads_nothing_is_refused(desk, tmp_path):
    (tmp_path / "static.c").write_text(STATIC)
    program = tmp_path / "still"
    subprocess.run(["cc", "-static", "-o", program, tmp_path / "static.c"], check=True)
    desk.write("static.toml", SYSTEM.format(program=program, arguments=""))
    desk.ok("up", "two.toml", "--system", "static.toml")
    done = desk.harness("fault", "set", "node-0", "--clock", "+90s")
    assert done.returncode == 69
    assert "clock: the program of node-0 has not loaded clock.so" in done.stderr
    assert desk.ask("fault-list")["faults"] == []


RUN = """
topology = "two.toml"
budget = "promises.toml"
[[phase]]
name = "quiet"
duration_s = 1
[[phase]]
name = "load"
duration_s = 8
[[phase.stream]]
operation = "private_message"
rate_per_s = 20
[[phase.fault]]
where = "all"
clock = "+20s"
at_s = 1
for_s = 5
[[phase.fault]]
where = "node-1"
condition = "restarted"
at_s = 2
"""


def test_a_run_shows_what_the_nodes_were_told(desk):
    done = desk.harness("run", str(desk.write("run.toml", RUN)), "--json")
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    proven = found["faults: proven in force, and gone"]
    assert proven["answer"] == "PASS", proven["sentence"]
    assert "clock: 20 s (20 s asked)" in proven["sentence"]
    history = reader.read(desk.runs / "latest")
    of_clocks = [one for one in history.proofs if one.what == "clock"]
    assert {(one.answer, one.achieved) for one in of_clocks if one.n} >= {
        ("in force", 20.0),
        ("gone", 0.0),
    }
    assert not [one for one in of_clocks if one.answer.is_contradiction]
