"""Tests of the kernel: the log, its consumers, messages, settings, budgets."""

from domain.events import ResourceDiscovered
from plumbing import topology

# What tests.plumbing.hearer hears, named here because importing that module patches the process.
TYPES = (ResourceDiscovered.type,)
QUEUE = topology.bell_queue("test", TYPES)
