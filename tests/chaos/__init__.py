"""Real processes killed, servers restarted, links broken: rows M5-M7 and the like."""
