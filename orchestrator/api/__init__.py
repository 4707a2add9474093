"""The one door for whoever asks the service and listens to it; transports know nothing else of it.

```
 callers ──ask──▶ pull queue ─▶ device ─▶ Api ──▶ a subscription each ─▶ PVs, programs, screens
```
"""

from orchestrator.api.door import Api, Caller
from orchestrator.api.subscription import EVENTS, Filter, Item, Subscription

__all__ = ["EVENTS", "Api", "Caller", "Filter", "Item", "Subscription"]
