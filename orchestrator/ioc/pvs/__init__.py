"""PVs as EPICS clients expect them: text, enums, numbers, commands; and posting into them."""
