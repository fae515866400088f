"""Starts an example ERP with everything that it needs: `python -m local_vendors django`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from local_vendors.erp import EXAMPLES, FRAMEWORKS, Erp
from local_vendors.sandboxes import VendorSandboxes


def main(name: str, port: str | None = None) -> None:
    """Start all sandboxes, and serve until interrupted; each start begins without data."""
    default_folder = EXAMPLES.parent / "build" / "erps"
    folder = Path(os.environ.get("ERP_FOLDER", default_folder)) / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    erp = Erp(name, folder, port=int(port) if port else None)
    print(f"Creating the tables of {erp.framework.folder} in {folder}", flush=True)
    with VendorSandboxes(erp.webhooks) as vendors:
        erp.set_up(vendors)
        try:
            erp.serve(vendors, with_worker=True)
            print(f"ERP:             {erp.url}/")
            print(f"Local vendors:   {vendors.control_page.url}/   (cause faults here)")
            print(f"Configuration:   {erp.home / 'moorage.toml'}")
            print("Press Ctrl-C to stop.", flush=True)
            erp.wait()
        except KeyboardInterrupt:
            print()
        finally:
            erp.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == [] or sys.argv[1] not in FRAMEWORKS:
        sys.exit(f"usage: python -m local_vendors {'|'.join(FRAMEWORKS)} [port]")
    main(*sys.argv[1:3])
