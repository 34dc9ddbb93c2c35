"""Whole copies of a database in one file each: taken while others write, and checked before they are called good."""

from scripts.backups.archive import Manifest, TableSum, read, write
from scripts.backups.kinds import Kind, kind_of

__all__ = ["Kind", "Manifest", "TableSum", "kind_of", "read", "write"]
