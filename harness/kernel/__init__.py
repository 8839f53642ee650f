"""What the kernel can do for us, as plain functions: namespaces, netlink, nftables. Mechanism only;
policy is in fabric.py and inject/.

The only home of pyroute2 and libnftables: their errors end here, as HarnessError or
PermissionNeededError.
"""
