"""Systems are the programs under test, and how to speak to a node of one."""
