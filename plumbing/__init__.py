"""The wet half of the kernel: settings, clock, database, event log, catching up, broker, HTTP, budgets, secrets, logs, metrics."""

import warnings

# Every command would greet its user with eventlet's notice of retirement; why we stay with it is a decision on file.
warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
