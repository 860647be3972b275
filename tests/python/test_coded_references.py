"""References to what Zarr has no codec for: the server decodes it, and any client reads it."""

import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
import xarray as xr
import zarr

from conftest import Server, sample_data
from test_references import chunk_files, get, run, until_broken

pytestmark = pytest.mark.skipif(
    not sample_data(), reason="SKIPPED: sample data not found; set GRATICULE_SAMPLE_DATA"
)

# Every packing; GRIB1 too; several fields in a message; lists of cells; levels, members and lead times.
GRIB = [
    "gfswave_atlocn.grib2",
    "nam_awp21100_2018.grib2",
    "cmc_glb_tmp_jpeg.grib2",
    "aifs_t500_ccsds.grib2",
    "mercator_pr_complex_sd.grib",
    "ndfd_waveh_mercator_complex.grib",
    "era5-levels-members.grib",
    "regular_gg.grib2",
    "reduced_gg.grib",
    "alternate_scanning.grib",
    "scan_ineg_jpos.grib2",
    "fields_with_missing_values.grib",
    "lambert_grid.grib",
    "hrrr_wrfsubhf_sample.grib2",
]


# LZW, JPEG, both predictors, bands that lie together.
TIFF = ["predictor3_f32.tif", "rgb_jpeg_cog.tif", "cog_utm21_uint16.tif", "landsat_utm17_red.tif", "lcmap_2019_albers.tif"]


def request(url, method="GET", **headers):
    return urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers))


@pytest.fixture(scope="module")
def refs(tmp_path_factory):
    data = tmp_path_factory.mktemp("coded")
    (data / "files").mkdir()
    for name in GRIB + TIFF:
        folder = "grib" if name in GRIB else "geotiff"
        file = shutil.copy(sample_data() / folder / name, data / "files")
        run("ingest", file, "--collection", f"{name.split('.')[0]}_ref", "--reference", "--data", data)
        run("ingest", file, "--collection", f"{name.split('.')[0]}_copy", "--data", data)
    s = Server(data)
    s.data, s.files = data, data / "files"
    yield s
    s.stop()


def opened(server, collection, group=None):
    return xr.open_zarr(f"{server.url}/zarr/{collection}", group=group)


@pytest.mark.parametrize("name", GRIB + TIFF)
def test_parts_of_a_file_in_their_place_read_as_a_copy_of_them_does(name, refs):
    collection = name.split(".")[0]
    referred, copy = opened(refs, f"{collection}_ref"), opened(refs, f"{collection}_copy")
    assert set(referred.variables) == set(copy.variables)
    for variable in copy.variables:
        np.testing.assert_array_equal(referred[variable].values, copy[variable].values, err_msg=variable)
    store = zarr.open_group(f"{refs.url}/zarr/{collection}_ref", mode="r")
    assert all("graticule." not in json.dumps(a.metadata.to_dict()) for _, a in store.arrays())


def test_nothing_of_the_full_resolution_is_copied(refs):
    for name in ("nam_awp21100_2018", "gfswave_atlocn"):
        assert chunk_files(refs.data, f"{name}_ref") < chunk_files(refs.data, f"{name}_copy") / 2


def field(server, collection):
    """The largest variable of a cube and the key of its first chunk."""
    store = zarr.open_group(f"{server.url}/zarr/{collection}", mode="r")
    name, array = max(store.arrays(), key=lambda a: a[1].size)
    return f"{server.url}/zarr/{collection}/{name}/c/" + "/".join("0" * array.ndim)


def test_a_chunk_has_a_strong_tag_a_length_and_ranges(refs):
    url = field(refs, "gfswave_atlocn_ref")
    whole = request(url)
    body, tag = whole.read(), whole.headers["ETag"]
    assert tag.startswith('"') and int(whole.headers["Content-Length"]) == len(body)
    head = request(url, method="HEAD")
    assert (head.read(), head.headers["ETag"], int(head.headers["Content-Length"])) == (b"", tag, len(body))
    part = request(url, Range="bytes=10-19")
    assert part.status == 206 and part.read() == body[10:20]
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(body)}" and part.headers["ETag"] == tag
    assert request(url, Range="bytes=-7").read() == body[-7:]
    with pytest.raises(urllib.error.HTTPError) as e:
        request(url, Range=f"bytes={len(body)}-")
    assert e.value.code == 416
    with pytest.raises(urllib.error.HTTPError) as e:
        request(url, **{"If-None-Match": tag})
    assert e.value.code == 304
    # The same when it is made anew, and through a version's own address.
    version = whole.headers["Graticule-Version"]
    again = request(url.replace("_ref/", f"_ref@{version}/"))
    assert again.read() == body and "immutable" in again.headers["Cache-Control"]


def test_positions_are_answered_from_the_messages(refs):
    full = opened(refs, "gfswave_atlocn_ref").load()
    names = [n for n in full.data_vars if full[n].dims[-2:] == ("latitude", "longitude")]
    place = full[names[0]].squeeze().stack(p=("latitude", "longitude")).dropna("p").isel(p=[100])
    lat, lon = float(place.latitude[0]), float(place.longitude[0])
    query = urllib.parse.urlencode({"coords": f"POINT({lon} {lat})", "parameter-name": names[0]})
    body = json.loads(get(f"{refs.url}/api/collections/gfswave_atlocn_ref/position?{query}")[1])
    np.testing.assert_allclose(body["ranges"][names[0]]["values"][0], place.values.ravel()[0], rtol=1e-6)


def test_coarser_levels_and_the_picture_are_there(refs):
    referred, copy = (opened(refs, f"gfswave_atlocn_{k}", group="1") for k in ("ref", "copy"))
    for name in copy.data_vars:
        np.testing.assert_array_equal(referred[name].values, copy[name].values, err_msg=name)
    picture = request(f"{refs.url}/api/collections/gfswave_atlocn_ref/preview.png")
    assert picture.read().startswith(b"\x89PNG")


def split(path, folder):
    """The messages of a file, each in a file of its own."""
    data, at, out = path.read_bytes(), 0, []
    while at < len(data):
        length = int.from_bytes(data[at + 8 : at + 16], "big")
        out.append(folder / f"{path.stem}_{len(out)}.grib2")
        out[-1].write_bytes(data[at : at + length])
        at += length
    return out




def test_messages_are_appended_like_any_other_file(refs, tmp_path):
    """Two days of one message each: the second is the first with another reference time."""
    first = split(refs.files / "aifs_t500_ccsds.grib2", tmp_path)[0]
    message = bytearray(first.read_bytes())
    # Section 1 begins at octet 17 of the message; its octets 13 to 19 are the reference time.
    year, day = message[28:30], message[31]
    message[31] = day + 1 if day < 28 else day - 1
    second = tmp_path / "second.grib2"
    second.write_bytes(message)
    assert int.from_bytes(year, "big") > 1990
    order = [first, second] if message[31] > day else [second, first]
    for file in order:
        run("ingest", file, "--collection", "grown", "--reference", "--data", refs.data)
    served = opened(refs, "grown")
    assert served.sizes["time"] == 2
    name = max(served.data_vars, key=lambda n: served[n].size)
    np.testing.assert_array_equal(served[name][0].values, served[name][1].values)
    copy = opened(refs, "aifs_t500_ccsds_copy")
    np.testing.assert_array_equal(np.sort(served[name][0].values.ravel()), np.sort(copy[name].values.ravel()))


def test_a_grib_file_that_vanishes_or_changes_breaks_the_cube(refs, tmp_path):
    file = tmp_path / "gone.grib2"
    shutil.copy(sample_data() / "grib/aifs_t500_ccsds.grib2", file)
    run("ingest", file, "--collection", "fragile", "--reference", "--data", refs.data)
    url = field(refs, "fragile")
    assert get(url)[0] == 200
    os.utime(file, (1, 1))
    # Kept or not, what was decoded is of a file that is no more.
    code, body, headers = get(url)
    assert code == 502 and headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["file"] == str(file.resolve()) and "was modified at 1 s" in json.loads(body)["detail"]
    file.unlink()
    assert get(url)[0] == 502
    assert get(url.replace("/c/", "/c/9"))[0] == 404
    said = until_broken(refs, "fragile")
    assert said["state"] == "broken" and said["files"] == [str(file.resolve())]


def test_a_packed_file_is_refused_and_so_is_an_export(refs, tmp_path):
    packed = sample_data() / "grib/mrms_RhoHV_png.grib2.gz"
    said = run("ingest", packed, "--collection", "packed", "--reference", "--data", refs.data, ok=False)
    assert "gzip: unpack it first" in said
    out = tmp_path / "out.json"
    said = run("export", "nam_awp21100_2018_ref", "--kerchunk", out, "--data", refs.data, ok=False)
    assert "graticule.grib" in said and not out.exists()


def test_several_times_in_one_message_are_refused_by_name(refs):
    file = sample_data() / "grib/jma_tornado_runlength.grib2"
    said = run("ingest", file, "--collection", "times", "--reference", "--data", refs.data, ok=False)
    assert "it is field 1 of message 1 at byte 0 and field 2 of message 1" in said


def test_a_check_finds_every_message_where_it_was(refs):
    said = json.loads(run("check", "gfswave_atlocn_ref", "--deep", "--json", "--data", refs.data))
    assert said["findings"] == [], said
