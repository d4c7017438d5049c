"""What a user meets: the command line, on top of all layers. Imports are late, so that `adw --help` is quick."""
