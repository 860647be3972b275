"""The real binary, real files, real clients."""

import concurrent.futures
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


def source_of(file):
    """What is ingested for an entry: levels of one pyramid are one source."""
    folder, levels, _ = file.partition(".levels/")
    return folder + ".levels" if levels else file


def known_files():
    """Every file that an entry of references.json is about."""
    r = references()
    listed = [e["file"] for kind in ("grids", "grib", "geotiff", "tabular") for e in r.get(kind, [])]
    return sorted({source_of(f) for f in listed + [e["store"] for e in r.get("zarr", [])] + list(r.get("netcdf_inventory", []))})


def binary():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = pathlib.Path(os.environ.get("GRATICULE_BIN", target / "release" / "graticule"))
    assert path.exists(), f"{path} is not there: run `make build` first"
    return path


def collection_of(file):
    name = source_of(file).split("/")[-1]
    # Several tables of one station differ in the ending alone.
    return name.replace(".", "_") if file.startswith("tabular/") else name.split(".")[0]


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


def ingest_known(data_dir):
    """Every file of the references, one collection each: what was said of it, by file."""
    files = known_files()
    assert len({collection_of(f) for f in files}) == len(files)

    def ingest(file):
        command = [binary(), "ingest", sample_data() / file, "--collection", collection_of(file), "--data", data_dir]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        return file, (done.returncode, done.stdout + done.stderr)

    with concurrent.futures.ThreadPoolExecutor(2) as both:
        return dict(both.map(ingest, files))


@pytest.fixture(scope="session")
def server(data_dir):
    """A server that has every file of the references, one collection each."""
    said = {}
    if sample_data():
        said = ingest_known(data_dir)
    else:
        demo = ROOT / "assets" / "demo" / "ncep-climatology.nc"
        subprocess.run(
            [binary(), "ingest", demo, "--collection", "ncep", "--data", data_dir], check=True, capture_output=True
        )
    s = Server(data_dir)
    s.said = said
    yield s
    s.stop()
