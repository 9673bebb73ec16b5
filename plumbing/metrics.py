"""What happens in a process -> Prometheus counters and gauges, one place for their names."""

from prometheus_client import Counter, Gauge, Histogram

positions_passed = Counter("trueup_positions_passed_total", "Log positions a consumer passed", ["consumer"])
consumers_stopped = Counter("trueup_consumer_stops_total", "Times a consumer stopped at an event", ["consumer"])
messages_handled = Counter("trueup_messages_handled_total", "Messages taken from a queue", ["queue", "outcome"])
bells_rung = Counter("trueup_bells_rung_total", "Bells published after an append")
outbox_sent = Counter("trueup_outbox_sent_total", "Work messages published from the outbox")
outbox_waiting = Gauge("trueup_outbox_waiting", "Work messages not yet published")
dead_letters = Counter("trueup_dead_letters_total", "Messages given up", ["queue"])
outside_calls = Counter("trueup_outside_calls_total", "Calls to an outside API", ["api", "endpoint", "outcome"])
outside_seconds = Histogram("trueup_outside_call_seconds", "Duration of a call to an outside API", ["api", "endpoint"])
budget_waits = Counter("trueup_budget_waits_total", "Calls put off because the budget was spent", ["name"])
