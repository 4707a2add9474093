"""One channel: its connection and monitor, gets, puts, access rights and menu."""
