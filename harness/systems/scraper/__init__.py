"""The scraper asks nodes of a cluster for what they tell of themselves, in the text format of
Prometheus, once a second.

It is a process of its own: reading pages takes a core from nobody's stamps and timers.
"""
