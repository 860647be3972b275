"""The real binary, real files, real clients."""

import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def sample_data():
    """The folder of sample files, or None; whoever needs it says loudly that it is missing."""
    path = pathlib.Path(os.environ.get("GRATICULE_SAMPLE_DATA", ROOT.parent / "shared" / "data"))
    return path if (path / "references.json").exists() else None


def references():
    data = sample_data()
    return json.loads((data / "references.json").read_text()) if data else {"grids": []}


# Grids that are not regular in latitude and longitude and have no known answers of their own.
OTHER_GRIDS = [
    "netcdf/projected/goes16_cloud_top_height.nc",
    "netcdf/projected/laea_euro_air_temp.nc",
    "netcdf/swath/amsr2_l2b_cut.nc",
    "netcdf/swath/ascat_l2_cut.nc",
    "unstructured/fvcom_sfbofs_subset.nc",
    "unstructured/lfric_cubesphere_1t.nc",
]


def grib_fields():
    """Fields that are alone in their file, on grids that are not regular; decoded and placed by eccodes."""
    regular = ("regular_ll", "regular_gg", "sh", "unstructured_grid")
    alone = [f for f in references().get("grib", []) if f["fields"] == 1]
    return [(f["file"], f["records"][0]) for f in alone if f["records"][0]["gridType"] not in regular]


def binary():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = pathlib.Path(os.environ.get("GRATICULE_BIN", target / "release" / "graticule"))
    assert path.exists(), f"{path} is not there: run `make build` first"
    return path


def collection_of(file):
    return file.split("/")[-1].rsplit(".", 1)[0]


class Server:
    def __init__(self, data):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [binary(), "serve", "--data", data, "--bind", f"127.0.0.1:{self.port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url + "/readyz", timeout=1).read()
                return
            except OSError:
                assert self.process.poll() is None, "the server ended at once"
                time.sleep(0.05)
        raise AssertionError("the server did not become ready within 10 s")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def server(data_dir):
    """A server that has every file of a reference grid, one collection each."""
    samples = sample_data()
    if samples:
        for file in sorted({g["file"] for g in references()["grids"]}) + OTHER_GRIDS + [f for f, _ in grib_fields()]:
            subprocess.run(
                [binary(), "ingest", samples / file, "--collection", collection_of(file), "--data", data_dir],
                check=True,
                capture_output=True,
            )
    else:
        demo = ROOT / "assets" / "demo" / "ncep-climatology.nc"
        subprocess.run(
            [binary(), "ingest", demo, "--collection", "ncep", "--data", data_dir], check=True, capture_output=True
        )
    s = Server(data_dir)
    yield s
    s.stop()
