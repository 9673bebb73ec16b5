"""reporting: facts -> reports. Read models folded from the log, queries over them, and replay."""
