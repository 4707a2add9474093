import orchestrator.ioc  # noqa: F401 - before any test imports caproto, which reads its settings
