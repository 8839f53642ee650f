"""``calibrate``: what the load generator and the sampler can do on this machine."""

from __future__ import annotations

import click

from harness.cli.progress import shown
from harness.cli.shared import json_option, print_json


@click.command()
@json_option
def calibrate(*, as_json: bool) -> None:
    """Measure what this machine can send and sample, against null nodes: some 20 seconds.

    It is kept in the state folder; runs that follow say how much of it they used.
    """
    from harness.experiments.calibrate import LAG_P99_US_MAX
    from harness.experiments.calibrate import calibrate as measured

    with shown() as progress:
        found = measured(progress)
    if as_json:
        print_json(found.as_json())
        return
    if not found.messages_per_s:
        click.echo(
            f"one load worker is late at any rate tried, down to {found.fails_at_per_s:,.0f} "
            "messages/s: the machine is too busy to be measured"
        )
    else:
        bound = (
            "the most that was tried"
            if found.fails_at_per_s is None
            else f"not at {found.fails_at_per_s:,.0f}/s"
        )
        click.echo(
            f"one load worker sends {found.messages_per_s:,.0f} messages/s with a lag p99 of "
            f"{found.lag_p99_us:,.0f} µs, below {LAG_P99_US_MAX:,.0f} µs ({bound}); "
            f"{found.messages_per_cpu_s:,.0f} messages for each second of CPU"
        )
    if found.samples_per_s is None:
        click.echo(f"samples: not measured ({found.why_no_samples})")
    else:
        click.echo(f"one core takes {found.samples_per_s:,.0f} samples of nodes a second")
