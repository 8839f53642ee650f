"""Names of earlier versions that adapters of users import; they live in
harness.systems.adapters.
"""
