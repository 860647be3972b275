"""Recipes against what xarray makes of the same files; buckets and web servers that are real, or as good as."""

import http.server
import os
import pathlib
import signal
import subprocess
import threading
import time

import netCDF4
import numpy as np
import pytest
import xarray as xr

from conftest import Server, binary, sample_data

# Stored numbers: how packed ones are rounded is for another test.
RAW = {"decode_times": False, "mask_and_scale": False}
SECRET = "a-secret-that-no-log-shows"


def clean_env(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GRATICULE_", "AWS_"))}
    return kept | more


def ingest(*args, env=None, ok=True):
    done = subprocess.run(
        [binary(), "ingest", *map(str, args)], capture_output=True, text=True, env=env or clean_env(), timeout=300
    )
    said = done.stdout + done.stderr
    assert (done.returncode == 0) == ok, said
    assert SECRET not in said
    return said


def write_day(path, day, variables=("sst", "ice"), rows=36, columns=72, member=0):
    """A day as OISST has it: packed int16 over time, zlev, lat, lon."""
    rng = np.random.default_rng(day * 100 + member)
    with netCDF4.Dataset(path, "w") as f:
        for name, n in [("time", 1), ("zlev", 1), ("lat", rows), ("lon", columns)]:
            f.createDimension(name, n)
        axes = [
            ("time", [day + 0.5], "days since 2020-01-01"),
            ("zlev", [0.0], "meters"),
            ("lat", -90 + 180 * (np.arange(rows) + 0.5) / rows, "degrees_north"),
            ("lon", 360 * (np.arange(columns) + 0.5) / columns, "degrees_east"),
        ]
        for name, values, units in axes:
            v = f.createVariable(name, "f4", (name,))
            v.units = units
            v[:] = values
        for name in variables:
            v = f.createVariable(name, "i2", ("time", "zlev", "lat", "lon"), fill_value=-999, zlib=True)
            v.setncatts({"scale_factor": np.float32(0.01), "add_offset": np.float32(0), "units": "Celsius"})
            raw = rng.integers(-180, 3000, (1, 1, rows, columns)).astype("i2")
            raw[rng.random(raw.shape) < 0.2] = -999
            v.set_auto_maskandscale(False)
            v[:] = raw


@pytest.fixture
def serve(tmp_path):
    running = []

    def start(data):
        running.append(Server(data))
        return running[-1].url

    yield start
    for s in running:
        s.stop()


def same(found, expected):
    for name in expected.data_vars:
        a, b = found[name], expected[name]
        assert a.dims == b.dims, name
        np.testing.assert_array_equal(a.values, b.values, err_msg=name)
    for name in expected.dims:
        if name in expected.coords:
            np.testing.assert_array_equal(found[name].values, expected[name].values, err_msg=name)


def test_days_from_a_bucket_are_what_xarray_makes_of_them(tmp_path, serve):
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto.server")
    s3 = moto.ThreadedMotoServer(port=0)
    s3.start()
    try:
        endpoint = "http://%s:%s" % s3.get_host_and_port()
        keys = {"aws_access_key_id": "someone", "aws_secret_access_key": SECRET}
        bucket = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        bucket.create_bucket(Bucket="ocean")
        files = []
        for day in range(5):
            files.append(tmp_path / f"oisst.2020010{day + 1}.nc")
            write_day(files[-1], day)
            bucket.upload_file(str(files[-1]), "ocean", f"v2/2020/{files[-1].name}")
        bucket.put_object(Bucket="ocean", Key="v2/2020/README", Body=b"no data")
        recipe = tmp_path / "oisst.toml"
        recipe.write_text(
            '[collection]\nid = "oisst"\n[source]\nroot = "s3://ocean/v2"\n'
            'pattern = "{time:%Y}/oisst.{time:%Y%m%d}.nc"\nretries = { attempts = 2, backoff = "10ms" }\n'
        )
        env = clean_env(
            AWS_ACCESS_KEY_ID="someone",
            AWS_SECRET_ACCESS_KEY=SECRET,
            AWS_REGION="us-east-1",
            AWS_ENDPOINT_URL=endpoint,
            AWS_ALLOW_HTTP="true",
        )
        data = tmp_path / "data"
        assert "5 of 5 granules published" in ingest(recipe, "--data", data, env=env)
        assert not any((data / "tmp" / "downloads").iterdir()), "downloads are removed once published"
        assert "nothing new was published" in ingest(recipe, "--data", data, env=env)
        found = xr.open_zarr(f"{serve(data)}/zarr/oisst", **RAW)
        same(found, xr.concat([xr.open_dataset(f, **RAW) for f in files], "time", data_vars="all"))
        said = ingest(recipe, "--data", tmp_path / "none", env=env | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ok=False)
        assert "s3://ocean/v2" in said
    finally:
        s3.stop()


def test_files_by_variable_and_member_are_what_xarray_makes_of_them(tmp_path, serve):
    for member in (1, 2, 10):
        for name in ("sst", "ice"):
            for day in range(3):
                write_day(tmp_path / f"{name}_r{member}_{day}.nc", day, (name,), member=member)
    recipe = tmp_path / "r.toml"
    recipe.write_text('[collection]\nid = "c"\n[source]\npattern = "{variable}_r{member}_*.nc"\n')
    data = tmp_path / "data"
    ingest(recipe, "--data", data)
    found = xr.open_zarr(f"{serve(data)}/zarr/c", **RAW)
    files = lambda m: sorted(tmp_path.glob(f"*_r{m}_*.nc"))
    open_ = lambda m: xr.combine_by_coords([xr.open_dataset(f, **RAW) for f in files(m)], join="exact")
    expected = xr.concat([open_(m) for m in (1, 2, 10)], xr.Variable("member", np.array([1, 2, 10], "i4")))
    same(found, expected)


def test_cmip_files_follow_each_other_as_in_xarray(tmp_path, serve):
    # Each file counts from a day of its own: times, not numbers, must be the same.
    timed = {"decode_times": xr.coders.CFDatetimeCoder(use_cftime=True), "mask_and_scale": False}
    samples = sample_data()
    if not samples:
        pytest.skip("SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA")
    folder = samples / "netcdf" / "multifile"
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        f'[collection]\nid = "c"\n[source]\nroot = "{folder}"\npattern = "{{variable}}_Amon_EC-EARTH_{{time:%Y%m}}-*.nc"\n'
    )
    data = tmp_path / "data"
    said = ingest(recipe, "--data", data, "--dry-run")
    assert "3 of 3 granules would be taken" in said and not data.exists()
    ingest(recipe, "--data", data, "--first", 2)
    assert "1 of 3 granules published" in ingest(recipe, "--data", data)
    found = xr.open_zarr(f"{serve(data)}/zarr/c", **timed)
    expected = xr.concat(
        [xr.open_dataset(f, **timed) for f in sorted(folder.glob("*.nc"))], "time", data_vars="minimal"
    )
    same(found[["tas"]], expected[["tas"]])


class Slow(http.server.SimpleHTTPRequestHandler):
    """Serves one file in small pieces, with ranges."""

    body = b""
    asked = []
    pause = 0.05

    def log_message(self, *_):
        pass

    def do_GET(self):
        type(self).asked.append(self.headers.get("Range"))
        begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if begin else 200)
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(len(self.body) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(self.body) - 1}/{len(self.body)}")
        self.end_headers()
        for at in range(begin, len(self.body), 16384):
            try:
                self.wfile.write(self.body[at : at + 16384])
                self.wfile.flush()
            except OSError:
                return
            time.sleep(self.pause)


def test_a_download_that_was_killed_goes_on_where_it_ended(tmp_path, serve):
    file = tmp_path / "day.nc"
    write_day(file, 0, rows=360, columns=720)
    Slow.body, Slow.asked = file.read_bytes(), []
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{web.server_port}/day.nc"
        data = tmp_path / "data"
        command = [binary(), "ingest", url, "--collection", "c", "--data", data]
        first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_env())
        parts = lambda: [p.stat().st_size for p in pathlib.Path(data).glob("tmp/downloads/*/.part")]
        for _ in range(600):
            if any(n > 50_000 for n in parts()):
                break
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
        first.wait()
        (kept,) = parts()
        assert 0 < kept < len(Slow.body)
        Slow.pause = 0
        assert "1 of 1 granules published" in ingest(url, "--collection", "c", "--data", data)
        assert Slow.asked == [None, f"bytes={kept}-"]
        found = xr.open_zarr(f"{serve(data)}/zarr/c", **RAW)
        same(found, xr.open_dataset(file, **RAW))
    finally:
        web.shutdown()
