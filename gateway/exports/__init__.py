"""Reports -> files: CSV and XLSX of exactly what a page shows, streamed over HTTP or written by the operator's command."""
