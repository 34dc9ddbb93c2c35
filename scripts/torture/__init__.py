"""The `torture` command: the store is broken on purpose, and what it had acknowledged is looked for afterwards."""
