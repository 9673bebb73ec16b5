"""The house under a stopwatch -> the ratios that performance is judged by: `python -m tests.bench --help`."""
