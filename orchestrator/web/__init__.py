"""HTTP: a process beside the service, which it knows by a local socket only.

`orchestrator.transports.http` starts it. Slow readers, dead browsers and the texts that are made
for them cost the service's loop nothing.
"""
