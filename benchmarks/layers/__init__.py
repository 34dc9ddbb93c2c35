"""The same work by four hands: a raw driver for each database, SQLAlchemy Core, and this project's repositories."""
