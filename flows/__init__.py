"""The flows: order, Blocks and reports."""
