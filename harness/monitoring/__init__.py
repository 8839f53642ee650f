"""What Prometheus is told of a cluster: looked at from outside, as families of metrics.

What is not known is absent, never 0.
"""
