"""Locust's web UI as a person sees it, in Chromium: the form, the table with values below a
millisecond, the tab.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from kit.browser import free_port, listens
from kit.load import cluster, wait_until
from playwright.sync_api import Error, expect

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("HARNESS_SCREENSHOTS")


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def shoot(page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def test_from_the_form_to_the_delivery_tab_and_a_second_run(page):
    port = free_port()
    with cluster() as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.get_by_text("PrivateMessageUser", exact=True)).to_be_visible()
        expect(page.get_by_text("DhtLookupUser", exact=True)).to_be_visible()
        page.get_by_text("Custom parameters").click()
        rate = page.locator("input[name=privateMessageRate]")
        expect(rate).to_have_value("100")
        for name in (
            "broadcastRate",
            "dhtPutRate",
            "dhtGetRate",
            "dhtLookupRate",
            "payloadBytes",
            "seed",
            "budget",
            "runs",
        ):
            expect(page.locator(f"input[name={name}]")).to_be_visible()
        expect(page.locator("select[name=arrivals]")).to_have_value("uniform")
        rate.fill("300")
        shoot(page, "form")
        page.get_by_role("button", name="Start").click()
        row = page.locator("tr", has_text="private_message").first
        expect(row).to_be_visible(timeout=20_000)
        # Stock Locust shows whole milliseconds. How many it took is the host's.
        wait_until(lambda: re.fullmatch(r"\d?\d\.\d+", row.locator("td").nth(4).inner_text()))
        shoot(page, "table")
        page.get_by_role("tab", name="Delivery").click()
        delivered = page.locator(".p2p-panel tr", has_text="private_message").first
        expect(delivered).to_be_visible()
        wait_until(lambda: re.fullmatch(r"[\d.]+ .?s", delivered.locator("td").nth(8).inner_text()))
        shoot(page, "delivery")
        page.get_by_role("button", name="Stop", exact=True).click()
        wait_until(lambda: len(fake.calls("end")) == 1)
        [start] = fake.calls("start")
        assert {stream["rate_per_s"] for stream in start["load"]["streams"]} == {300, 2, 10}
        page.get_by_role("button", name="New").click(timeout=20_000)
        page.get_by_role("button", name="Start").click()
        wait_until(lambda: len(fake.calls("begin")) == 2)


def test_a_value_that_cannot_be_is_refused_on_the_form_and_nothing_begins(page):
    port = free_port()
    with cluster() as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_text("Custom parameters").click()
        page.locator("input[name=privateMessageRate]").fill("-3")
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_text("expected above 0 and at most 1,000,000, found -3")).to_be_visible()
        assert not (fake.folder / "state" / "fake" / "calls.jsonl").exists()


def test_a_page_of_another_site_can_change_nothing(page):
    port = free_port()
    with cluster() as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        for path in ("/p2p/do/heal", "/swarm"):
            answer = page.request.post(
                f"http://127.0.0.1:{port}{path}",
                headers={"Origin": "http://other.example"},
                data={},
            )
            assert answer.status == 403
        assert not (fake.folder / "state" / "fake" / "calls.jsonl").exists()


SCENARIO = """
name = "short"
topology = "cluster-10"
seed = 7
[[phase]]
name = "one"
duration_s = 2
[[phase.stream]]
operation = "private_message"
rate_per_s = 50
[[phase]]
name = "two"
duration_s = 1
[[phase.fault]]
name = "halves"
cut = "halves"
"""


def test_a_scenario_is_played_by_the_page_which_stays_for_the_next_run(page):
    port = free_port()
    with cluster(10) as fake, fake.locust("--web-port", str(port)):
        (fake.folder / "short.toml").write_text(SCENARIO)
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        field = page.locator(".p2p-scenario input")
        expect(field).to_be_visible()
        offered = page.locator(".p2p-scenario option").evaluate_all("all => all.map(o => o.value)")
        assert "first-budget" in offered
        assert "meshara" not in offered  # a suite
        field.fill("demo")
        says = page.locator(".p2p-scenario span")
        expect(says).to_contain_text("'cluster-10', the scenario wants 'cluster-100'")
        page.get_by_role("button", name="Start").click()
        expect(page.locator(".MuiAlert-root")).to_contain_text("the scenario wants 'cluster-100'")
        assert not (fake.folder / "state" / "fake" / "calls.jsonl").exists()
        field.fill(str(fake.folder / "short.toml"))
        expect(says).to_contain_text("plays 2 phases in 3.00 s (private_message), 1 fault, seed 7")
        page.get_by_text("Custom parameters").click()
        expect(page.locator("input[name=privateMessageRate]")).to_be_disabled()
        expect(page.locator("input[name=runs]")).to_be_enabled()
        shoot(page, "form-scenario")
        page.get_by_role("button", name="Start").click()
        new = page.get_by_role("button", name="New")
        expect(new).to_be_visible(timeout=60_000)  # it ended by itself
        [begin], [start] = fake.calls("begin"), fake.calls("start")
        assert begin["scenario"] == "short"
        assert begin["files"]["scenario.toml"] == SCENARIO
        assert [change["verb"] for change in begin["timeline"]["changes"]] == ["set", "clear"]
        assert begin["timeline"]["seed"] == 7
        assert [one["rate_per_s"] for one in start["load"]["streams"]] == [50]
        assert start["load"]["left_out"] == []
        assert len(fake.calls("end")) == 1
        new.click()
        again = page.locator(".p2p-scenario input")
        expect(again).to_have_value(str(fake.folder / "short.toml"))
        again.fill("")
        expect(page.locator("input[name=privateMessageRate]")).to_be_enabled()
        start = page.get_by_role("button", name="Start")

        def has_begun() -> bool:
            if len(fake.calls("begin")) == 1 and start.is_visible():
                with suppress(Error):  # as somebody would, while the run before is being judged
                    start.click(timeout=1000)
            return len(fake.calls("begin")) == 2

        wait_until(has_begun)
        assert fake.calls("begin")[1]["scenario"] == "load"


def test_the_page_does_not_stay_at_a_stop_under_way(page):
    port = free_port()
    with (
        cluster(2, "--end-ms", "1500") as fake,
        fake.locust("--web-port", str(port), "--autostart", "--run-time", "4s") as running,
    ):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        wait_until(lambda: len(fake.calls("end")) == 1)
        workers = [int(pid) for pid in children(running.pid)]
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(4):  # of all looks, those of some seconds have one answer
            with page.expect_response(f"http://127.0.0.1:{port}/stats/requests"):
                pass
        expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        expect(page.get_by_role("button", name="New")).to_be_visible()


def test_a_start_that_takes_longer_than_the_pages_first_look_is_shown_as_one(page):
    port = free_port()
    with cluster(2, "--begin-ms", "3000") as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")

        def is_asked() -> bool:
            if not fake.calls("asked"):
                with suppress(Error):  # until a worker is there
                    page.get_by_role("button", name="Start").click(timeout=1000)
            return bool(fake.calls("asked"))

        wait_until(is_asked)
        for _ in range(2):
            with page.expect_response(f"http://127.0.0.1:{port}/stats/requests") as looked:
                pass
            assert looked.value.json()["state"] in ("spawning", "running")
        wait_until(lambda: len(fake.calls("start")) == 1)
        expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
        expect(page.get_by_role("button", name="Start")).not_to_be_visible()


def test_a_button_stays_under_the_pointer_and_a_filter_is_one_tabs(page):
    port = free_port()
    with (
        cluster(6) as fake,
        fake.locust("--web-port", str(port), "--autostart", "PrivateMessageUser"),
    ):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("tab", name="Cluster").click()
        kill = page.locator(".p2p-panel tr", has_text="node-3").get_by_role("button", name="kill")
        still = page.locator(".p2p-still")
        expect(still).not_to_be_visible()
        kill.hover()
        pressed = kill.element_handle()
        for _ in range(2):
            with page.expect_response(lambda seen: "/p2p/view/cluster" in seen.url):
                pass
        expect(still).to_be_visible()
        assert pressed.evaluate("button => button.isConnected")
        page.locator(".p2p-filter").fill("node-3")
        page.locator(".p2p-filter").hover()
        expect(still).not_to_be_visible()
        expect(page.locator(".p2p-panel tbody tr", has_text="node-4")).to_have_count(0)
        with page.expect_request(lambda asked: "/p2p/view/faults" in asked.url) as asked:
            page.get_by_role("tab", name="Faults").click()
        assert asked.value.url.endswith("filter=")
        expect(page.locator(".p2p-panel")).to_contain_text("no fault is in force")


def test_a_look_asked_before_an_act_does_not_hide_the_act(page):
    """Its answer comes after the act, and the table stands still under the pointer from then on."""
    port = free_port()
    with (
        cluster(6) as fake,
        fake.locust("--web-port", str(port), "--autostart", "PrivateMessageUser"),
    ):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("tab", name="Cluster").click()
        first, row = (page.locator(".p2p-panel tr", has_text=f"node-{n}") for n in (3, 4))
        first.get_by_role("button", name="kill").click()  # its sentence moves the table down
        expect(first.locator("td").nth(2)).to_have_text("killed")
        row.get_by_role("button", name="stop", exact=True).hover()
        held = []

        def hold(route):
            if held:
                route.continue_()
            else:
                held.append((route, route.fetch()))

        page.route("**/p2p/view/cluster*", hold)
        with page.expect_response(lambda seen: "/p2p/do/" in seen.url):
            while not held:
                page.wait_for_timeout(50)
            row.get_by_role("button", name="stop", exact=True).click()
        expect(page.locator(".p2p-says")).to_have_text("node-4 is stopped")
        [(route, before)] = held
        route.fulfill(response=before)
        expect(row.locator("td").nth(2)).to_have_text("stopped")


def test_nodes_are_killed_and_paused_by_buttons_and_the_picture_shows_it(page):
    port = free_port()
    with (
        cluster(10) as fake,
        fake.locust("--web-port", str(port), "--autostart", "PrivateMessageUser"),
    ):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("tab", name="Cluster").click()
        panel, banner = page.locator(".p2p-panel"), page.locator(".p2p-banner")
        for node, button, condition in (
            ("node-3", "kill", "killed"),
            ("node-4", "stop", "stopped"),
            ("node-5", "pause", "paused"),
        ):
            row = panel.locator("tr", has=page.locator("td", has_text=re.compile(f"^{node}$")))
            row.get_by_role("button", name=button, exact=True).click()
            expect(panel.locator(".p2p-says")).to_have_text(f"{node} is {condition}")
            expect(row.locator("td").nth(2)).to_have_text(condition)
        expect(banner).to_contain_text("condition node-3 (killed): in force for")
        shoot(page, "cluster")
        page.get_by_role("tab", name="Topology").click()
        expect(panel).to_contain_text("killed: node-3 (a ring with a cross)")
        expect(panel.locator("circle.out")).to_have_count(2)
        expect(panel.locator("circle.paused")).to_have_count(1)
        shoot(page, "topology")
        page.get_by_role("tab", name="Cluster").click()
        row = panel.locator("tr", has=page.locator("td", has_text=re.compile("^node-3$")))
        row.get_by_role("button", name="restart").click()
        expect(row.locator("td").nth(2)).to_have_text("running")
        asked = [(call["node"], call["condition"]) for call in fake.calls("condition")]
        assert asked[0] == ("node-3", "killed")
        assert asked[-1] == ("node-3", "running")


def test_the_form_offers_what_a_fault_of_its_kind_takes_and_sends_no_more(page):
    port = free_port()
    with (
        cluster(10) as fake,
        fake.locust("--web-port", str(port), "--autostart", "PrivateMessageUser"),
    ):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("tab", name="Faults").click()
        panel = page.locator(".p2p-panel")
        kind, form = panel.locator(".p2p-kind select"), panel.locator("form")
        form.locator("[name=loss]").fill("5%")  # of another kind, and so not of what is sent
        kind.select_option(label="nodes restarted")
        fields = "all => all.filter(e => e.offsetParent).map(e => e.name)"
        offered = form.locator("[name]")
        assert {"where", "state", "name"} <= set(offered.evaluate_all(fields))
        assert not {"for_s", "loss", "cpu"} & set(offered.evaluate_all(fields))
        kind.select_option(label="nodes killed")
        assert {"where", "state", "for_s"} <= set(offered.evaluate_all(fields))
        assert not {"condition", "loss", "cpu"} & set(offered.evaluate_all(fields))
        form.locator("[name=where]").fill("node-1, node-2")
        form.locator("[name=state]").select_option("wipe")
        form.locator("[name=for_s]").fill("20")
        shoot(page, "fault-form")
        form.get_by_role("button", name="Set").click()
        expect(panel.locator(".p2p-says")).to_contain_text("in force on 2 nodes")
        [words] = fake.calls("fault-set")
        assert words == {
            "condition": "killed",
            "where": "node-1, node-2",
            "state": "wipe",
            "for_s": 20.0,
        }
        row = panel.locator("tr", has_text="killed, state wiped")
        expect(row).to_contain_text("node-1, node-2")
        kind.select_option(label="nodes limited")
        form.locator("[name=where]").fill("node-7")
        form.locator("[name=cpu]").fill("20%")
        form.get_by_role("button", name="Set").click()
        expect(panel.locator("tr", has_text="cpu 20 %")).to_contain_text("node-7")
        page.get_by_role("tab", name="Topology").click()
        expect(panel.locator("circle.slow")).to_have_count(1)
        page.get_by_role("tab", name="Faults").click()
        row.get_by_role("button", name="heal").click()
        expect(row).to_have_count(0)


def test_a_supervisor_that_does_not_answer_is_said(page):
    port = free_port()
    with cluster(2) as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.locator(".p2p-banner")).to_be_empty()
        fake.process.send_signal(signal.SIGSTOP)
        said = "the supervisor of cluster 'fake' does not answer"
        expect(page.locator(".p2p-banner")).to_contain_text(said)
        fake.process.send_signal(signal.SIGCONT)
        expect(page.locator(".p2p-banner")).to_be_empty()


def test_a_second_start_is_refused_while_a_run_goes_on(page):
    port = free_port()
    with cluster(2) as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        url = f"http://127.0.0.1:{port}/swarm"
        asked = {"user_count": "1", "spawn_rate": "1", "user_classes": "PrivateMessageUser"}
        wait_until(lambda: page.request.post(url, form=asked).json()["success"])
        refused = page.request.post(url, form=asked).json()
        assert not refused["success"]
        assert re.match("a run (goes on|is being started)", refused["message"])
        wait_until(lambda: len(fake.calls("start")) == 1)
        time.sleep(1)
        refused = page.request.post(url, form={**asked, "private_message_rate": "5"}).json()
        assert refused["message"].startswith("a run goes on, and its rates are fixed")
        page.request.post(f"http://127.0.0.1:{port}/stop")
        wait_until(lambda: len(fake.calls("end")) == 1)
        assert len(fake.calls("begin")) == 1


def test_a_stop_in_the_middle_of_a_start_leaves_no_run_behind(page):
    port = free_port()
    with cluster(2, "--begin-ms", "800") as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        url = f"http://127.0.0.1:{port}"
        asked = {"user_count": "1", "spawn_rate": "1", "user_classes": "PrivateMessageUser"}
        wait_until(lambda: page.request.post(f"{url}/swarm", form=asked).json()["success"])
        time.sleep(0.3)
        page.request.post(f"{url}/stop")
        assert [len(fake.calls(name)) for name in ("begin", "start", "end")] == [1, 1, 1]
        wait_until(lambda: page.request.post(f"{url}/swarm", form=asked).json()["success"])
        wait_until(lambda: len(fake.calls("start")) == 2)


def test_a_cluster_that_went_down_is_said_and_the_next_one_is_used(page):
    port = free_port()
    with cluster(2) as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        banner, alert = page.locator(".p2p-banner"), page.locator(".MuiAlert-root")
        fake.close()
        expect(banner).to_contain_text("the supervisor of cluster 'fake' is gone")
        page.get_by_role("button", name="Start").click()
        expect(alert).to_contain_text("the supervisor of cluster 'fake' is gone")
        fake.begin_again()
        expect(banner).to_be_empty()
        page.get_by_role("button", name="Start").click()
        wait_until(lambda: len(fake.calls("start")) == 1)
        page.get_by_role("tab", name="Verdict").wait_for()
        fake.close()
        expect(banner).to_contain_text("the run was cut short: the supervisor of cluster 'fake' is")
        page.get_by_role("button", name="New").click(timeout=60_000)
        page.get_by_role("button", name="Start").click()
        expect(alert).to_contain_text("the supervisor of cluster 'fake' is gone")
        fake.begin_again()
        page.get_by_role("button", name="Start").click()
        wait_until(lambda: len(fake.calls("start")) == 2)
        expect(banner).to_be_empty()
