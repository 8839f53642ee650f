"""What read-back expects of netem is what is sent to it, also where this kernel has no netem."""

from __future__ import annotations

from pyroute2.netlink.rtnl.tcmsg import plugins

from harness.kernel.disciplines import Numbers, _netem
from harness.kernel.qdisc import NETEM_PACKETS_MAX, Leaf, Netem, asked_tree


def test_what_is_asked_of_netem_is_what_is_sent():
    what = Netem(delay_ms=50, jitter_ms=10, duplicate=0.02, reorder=0.25, corrupt=0.001)
    sent = plugins["netem"].get_parameters(
        {
            "delay": 50_000,
            "jitter": 10_000,
            "limit": NETEM_PACKETS_MAX,
            "loss": 0,
            "duplicate": 2,
            "prob_corrupt": 0.1,
            "prob_reorder": 25,
            "gap": 1,
        }
    )
    attributes = dict(sent["attrs"])
    amounts = (
        sent["delay"],
        sent["jitter"],
        sent["loss"],
        sent["duplicate"],
        attributes["TCA_NETEM_REORDER"]["prob_reorder"],
        attributes["TCA_NETEM_CORRUPT"]["prob_corrupt"],
        attributes["TCA_NETEM_RATE"]["rate"],
    )
    asked = asked_tree(1000, None, {5: Leaf(netem=what)})["qdisc netem 5: of link 1000"]
    assert asked.exact[1:] == (sent["gap"], sent["limit"])
    assert all(abs(a - b) <= max(2, 0.01 * a) for a, b in zip(asked.amounts, amounts, strict=True))


def test_the_answer_of_the_kernel_is_read_by_its_layout():
    """struct tc_netem_qopt, then attributes: reorder 3, corrupt 4, rate 6 (linux/pkt_sched.h)."""

    def u32(*numbers):
        return b"".join(number.to_bytes(4, "little") for number in numbers)

    def attribute(kind, body):
        return (4 + len(body)).to_bytes(2, "little") + kind.to_bytes(2, "little") + body

    said = u32(781_250, 100_000, 3, 1, 5, 156_250)  # latency, limit, loss, gap, duplicate, jitter
    said += attribute(1, u32(0, 0, 0)) + attribute(3, u32(7, 0)) + attribute(4, u32(9, 0))
    said += attribute(6, u32(11, 0, 0, 0))
    assert _netem(said) == Numbers((1, 100_000), (781_250, 156_250, 3, 5, 7, 9, 11))
