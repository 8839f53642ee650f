"""Names of earlier versions that adapters of users import.

They live in harness.systems.adapters.
"""
