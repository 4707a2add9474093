"""The measured programs, each run as `python -m orchestrator.bench.programs.NAME`.

They do their work as a good program written by hand with their library would.
"""
