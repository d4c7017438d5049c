"""Registration: Blocks and limits, idempotent."""
