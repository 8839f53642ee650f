"""The face of the load: Locust's options, users, statistics and pages."""
