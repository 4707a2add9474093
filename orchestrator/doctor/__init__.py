"""Looks for what goes wrong where a service is set up, before it does; writes nothing."""

from orchestrator.doctor.doctor import examine
from orchestrator.doctor.symptom import Grade, Symptom

__all__ = ["Grade", "Symptom", "examine"]
