"""`python -m adw` is `adw`."""

from adw.cli.main import main

main()
