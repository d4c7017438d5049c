"""Workloads and measurements; run by `make bench-small`."""
