"""What an operation is written against."""

from types import ModuleType

Backend = ModuleType
