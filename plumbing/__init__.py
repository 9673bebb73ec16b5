"""The wet half of the kernel: settings, clock, database, event log, catching up, broker, HTTP, budgets, secrets, logs, metrics."""
