"""The kit of the tests: what several test files start, build, ask or count with."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
