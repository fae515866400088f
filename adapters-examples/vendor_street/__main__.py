"""Starts an example ERP with everything that it needs: `python -m vendor_street django`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from vendor_street.erp import EXAMPLES, FRAMEWORKS, Erp
from vendor_street.street import VendorSandboxes


def main(name: str, port: str | None = None) -> None:
    """Start all sandboxes, and serve until interrupted; each start begins without data."""
    default_folder = EXAMPLES.parent / "build" / "erps"
    folder = Path(os.environ.get("ERP_FOLDER", default_folder)) / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    erp = Erp(name, folder, port=int(port) if port else None)
    print(f"setting up {erp.framework.folder} in {folder}", flush=True)
    with VendorSandboxes(erp.webhooks) as street:
        erp.set_up(street)
        try:
            erp.serve(street, working=True)
            print(f"the ERP          {erp.url}/")
            print(f"its vendors      {street.office.url}/   (trouble them here)")
            print(f"who does what    {erp.home / 'moorage.toml'}")
            print("Ctrl-C ends all of it.", flush=True)
            erp.wait()
        except KeyboardInterrupt:
            print()
        finally:
            erp.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == [] or sys.argv[1] not in FRAMEWORKS:
        sys.exit(f"usage: python -m vendor_street {'|'.join(FRAMEWORKS)} [port]")
    main(*sys.argv[1:3])
