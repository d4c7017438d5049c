"""Where issues come from.

markdown.py   files, folders of them, and standard input
names.py      what a name means: a file, `owner/repo#12`, `#12`, or an address
board.py      the port: what is asked of a forge's issues
github.py, gitlab.py   the port's implementations
trust.py      whose words count, and what a label vouches for
outside.py    issues of what a forge tells: plain text, comments, dependencies
reading.py    all of it together
"""
