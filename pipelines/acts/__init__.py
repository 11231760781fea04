"""Acts: what a server and an import decide alike: when an act was, and whether by a robot."""
