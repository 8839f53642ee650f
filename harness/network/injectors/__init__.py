"""How a network state comes true: one injector a mechanism. Each sets a state, reads it back from
the kernel, and clears its own.

nftables    cuts, half-open paths, loss; and which class a packet belongs to
qdisc       rates of nodes and paths (HTB, TBF); by netem, where it is there, also delay, jitter,
            duplicates, reordering, corruption
nfqueue     delay, jitter and reordering where it is not: a process that holds packets
toxiproxy   faults of streams: a real proxy that neither end knows of
"""
