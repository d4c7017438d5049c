"""What `adw bench` measures, by name: tables of the analysis (`benchmarks/levels.toml`), and what is in none of them."""

TABLES = {
    "one": "One workflow, from one after another to the full stack (6.1, Appendix B).",
    "features": "Five features, by adw, by a plain script and by the analysis' own classes (6.2).",
    "agents": "Ten features with 1 to 10 agents (6.3).",
    "resources": "What one and four agents take of the machine (6.4).",
    "money": "What a workflow costs, by the number of agents (Appendix D).",
    "peer": "Two features by adw, and by agent-conductor of PyPI, which must be installed.",
    "small": "One workflow at a small scale: what CI looks at.",
}
OTHERS = {
    "overheads": "What adw does beside its agents, each thing alone, and its share of a workflow.",
    "growth": "More and more issues in a run, files in a repository, commits in its history.",
    "real": "Real changes with real tests, or the real Claude Code CLI, with more and more agents.",
}
