#!/usr/bin/env python
"""Django's commands and the ERP's own: `set_up` and `worker`."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "erp.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
