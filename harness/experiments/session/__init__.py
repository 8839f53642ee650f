"""A session is a cluster in the hands of a Python program: what `harness.up` returns.

Each load, and each wait that sends something, is a run with a folder of its own; a verdict judges
all of them together, as a suite's parts are judged.
"""
