"""The close of a month: what must be so before it may be invoiced, how it stands now, and what was signed off."""
