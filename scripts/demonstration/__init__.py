"""What the `demo` command does and tells, a file for each part."""
