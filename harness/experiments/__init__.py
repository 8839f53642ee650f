"""Runs from file to verdict: one, a suite, a bench."""
