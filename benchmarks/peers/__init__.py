"""What else an application could store its conversations with, in an environment of its own: docs/performance.md."""
