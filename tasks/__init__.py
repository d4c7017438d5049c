"""The phases as Prefect tasks: key, tags, retries and names; one call into adw each."""
