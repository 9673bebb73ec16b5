"""ODIN -> facts: reads the marketplace within its call budget and records what changed as events."""
