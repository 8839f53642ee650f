"""Linux as plain functions: namespaces, netlink, nftables, queueing disciplines. Mechanism only;
what is done with it is decided in network/ and runtimes/.

The only home of pyroute2 and libnftables: their errors leave it as HarnessError or
PermissionNeededError.
"""
