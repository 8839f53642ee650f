"""Experiments run from file to verdict: one, a suite, a bench."""
