"""Why a number is what it is: from a line of the PSA back to ODIN's own words, read straight from the log by stream."""
