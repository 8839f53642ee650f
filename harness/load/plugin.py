"""Kept for locustfiles that an earlier `harness init` copied; it lives in
harness/load/locust/plugin.py.
"""

from __future__ import annotations

from harness.load.locust.plugin import install

__all__ = ["install"]
