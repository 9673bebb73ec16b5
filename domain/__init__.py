"""The pure half of the kernel: keys, units, money, periods, events. Standard library only, no clock, no I/O."""
