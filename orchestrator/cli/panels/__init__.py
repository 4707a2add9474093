"""The commands as users see them, a module for each panel of `--help`.

Each imports what it does when it is called: `orchestrator --help` has to be quick.
"""
