"""The gateway is one process a cluster that speaks the control protocol for nodes that do not.

It drives each node through its adapter's driver. Load, journals, readiness and gauges are then the
same for every system. Sockets to a node are opened inside its network namespace, where no fault is;
what each node sees goes into a journal of its own, stamped here.
"""
