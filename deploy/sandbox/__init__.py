"""Stand-in ODIN and Autotask: real HTTP servers with a settable clock, switches for what is not known, and faults on demand."""
