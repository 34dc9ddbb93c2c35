"""How the calls of an application hold while one PostgreSQL fills: docs/performance.md."""
