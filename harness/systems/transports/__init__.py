"""What drivers are made of: ways to speak to a node inside its network namespace (HTTP, streams,
programs) and to follow its log.
"""
