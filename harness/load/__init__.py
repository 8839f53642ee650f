"""Load: an open model driven by Locust. Only this package and locustfiles/ import locust and
gevent.
"""
