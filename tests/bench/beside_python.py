"""What `cargo run --release -p xtask -- bench-python` has Python do.

    make DATA OUT          makes the inputs of every case from the sample files
    layout OURS LAYOUT     writes down codec, chunks and shards of OURS, an Icechunk repository
    write CASE OUT LAYOUT  writes the same file as arrays of that layout; `dask` or `plain` as last word
    decode CASE            only reads all values into memory, and prints the seconds that takes
    same CASE OUT OURS     compares every value of both results

A case is `KIND:FILE`; KIND is netcdf, grib, geotiff, pyramid or ndpyramid. Threads are
allowed: dask uses all cores, and so does zarr for its codecs.
"""

import gzip
import json
import os
import pathlib
import sys
import time

import numpy as np


# Making the inputs. Samples are repeated with other times and a little change in their
# values, until what is measured takes seconds and starting a process is a small part of it.


def messages(source, out, count, **keys):
    """One GRIB message, `count` times, a day apart."""
    import datetime

    import eccodes

    opened = gzip.open if source.suffix == ".gz" else open
    with opened(source, "rb") as f:
        message = eccodes.codes_new_from_message(f.read())
    values = eccodes.codes_get_values(message) if keys else None
    for key, value in keys.items():
        eccodes.codes_set(message, key, value)
    if keys:
        eccodes.codes_set_values(message, values)
    first = datetime.datetime.strptime(str(eccodes.codes_get(message, "dataDate")), "%Y%m%d")
    with open(out, "wb") as f:
        for day in range(count):
            date = first + datetime.timedelta(days=day)
            eccodes.codes_set(message, "dataDate", int(date.strftime("%Y%m%d")))
            f.write(eccodes.codes_get_message(message))
    eccodes.codes_release(message)


def small_messages(source, out, count):
    """Every message of a file, `count` times, two months apart from time to time."""
    import eccodes

    with open(out, "wb") as f:
        for again in range(count):
            with open(source, "rb") as g:
                while (message := eccodes.codes_grib_new_from_file(g)) is not None:
                    date = eccodes.codes_get(message, "dataDate")
                    eccodes.codes_set(message, "dataDate", date + 10_000 * again)
                    f.write(eccodes.codes_get_message(message))
                    eccodes.codes_release(message)


def days(source, out, variable, count):
    """One day of a packed NetCDF-4 grid, `count` days long, deflated as the sample is."""
    import netCDF4

    with netCDF4.Dataset(source) as s, netCDF4.Dataset(out, "w") as o:
        s.set_auto_maskandscale(False)
        sample = s[variable]
        for name in sample.dimensions:
            o.createDimension(name, None if name == "time" else len(s.dimensions[name]))
            axis = o.createVariable(name, "f8" if name == "time" else s[name].dtype, (name,))
            axis.setncatts({k: s[name].getncattr(k) for k in s[name].ncattrs() if k in ("units", "standard_name")})
            axis[:] = s[name][:] + np.arange(count) * 86_400.0 if name == "time" else s[name][:]
        attributes = {k: sample.getncattr(k) for k in sample.ncattrs()}
        fill = attributes.pop("_FillValue", None)
        attributes = {k: v for k, v in attributes.items() if k in ("units", "scale_factor", "add_offset")}
        values = sample[:]
        field = o.createVariable(
            variable, values.dtype, sample.dimensions, zlib=True, complevel=4,
            chunksizes=(1, *values.shape[1:]), fill_value=fill,
        )
        field.set_auto_maskandscale(False)
        field.setncatts(attributes)
        generator = np.random.default_rng(3)
        for day in range(count):
            noise = generator.integers(-9, 9, values.shape[1:], dtype=values.dtype)
            field[day] = np.where(values[0] == fill, fill, values[0] + noise)


def grid(out, rows, columns):
    """A smooth float32 field with noise in its low digits and a land mask."""
    import netCDF4

    with netCDF4.Dataset(out, "w", format="NETCDF3_64BIT_OFFSET") as o:
        for name, n, units, values in [
            ("lat", rows, "degrees_north", -90 + 180 * (np.arange(rows) + 0.5) / rows),
            ("lon", columns, "degrees_east", -180 + 360 * (np.arange(columns) + 0.5) / columns),
        ]:
            o.createDimension(name, n)
            axis = o.createVariable(name, "f8", (name,))
            axis.units = units
            axis[:] = values
        field = o.createVariable("field", "f4", ("lat", "lon"), fill_value=np.float32(1e20))
        field.units = "K"
        field.set_auto_maskandscale(False)
        generator = np.random.default_rng(3)
        wave = np.sin(np.arange(columns) / columns * 12, dtype="f4")
        for row in range(0, rows, 256):
            n = min(256, rows - row)
            angle = ((np.arange(row, row + n, dtype="f4") + 0.5) / rows * np.pi)[:, None]
            values = 230 + 70 * np.sin(angle) + 8 * np.cos(angle * 5) * wave
            values += generator.integers(0, 32, values.shape).astype("f4") / 512
            field[row : row + n] = np.where(wave * np.sin(angle * 7) > 0.62, np.float32(1e20), values)


def picture(source, out, times):
    """A GeoTIFF repeated `times` by `times`, deflated in tiles of 256."""
    import rasterio

    with rasterio.open(source) as s:
        values = s.read(1)
        profile = dict(
            driver="GTiff", height=values.shape[0] * times, width=values.shape[1] * times, count=1,
            dtype=values.dtype, crs=s.crs, transform=s.transform, tiled=True, blockxsize=256, blockysize=256,
            compress="deflate", nodata=s.nodata,
        )
    generator = np.random.default_rng(3)
    values = np.tile(values, (times, times))
    values += generator.integers(0, 8, values.shape).astype(values.dtype)
    with rasterio.open(out, "w", **profile) as o:
        o.write(values, 1)


def make(data, out):
    data, out = pathlib.Path(data), pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    grib = data / "grib"
    for name, how in {
        "netcdf.nc": lambda f: days(data / "netcdf/ostia_20170605.nc", f, "analysed_sst", 60),
        "grib-simple.grib2": lambda f: messages(
            grib / "aifs_t500_ccsds.grib2", f, 48, packingType="grid_simple"
        ),
        "grib-small.grib": lambda f: small_messages(grib / "era5-levels-members.grib", f, 12),
        "grib-complex.grib2": lambda f: messages(grib / "gdas_vrate_12.grib2", f, 48),
        "grib-ccsds.grib2": lambda f: messages(grib / "aifs_t500_ccsds.grib2", f, 48),
        "grib-jpeg.grib2": lambda f: messages(grib / "cmc_glb_tmp_jpeg.grib2", f, 24),
        "grib-png.grib2": lambda f: messages(grib / "mrms_RhoHV_png.grib2.gz", f, 4),
        "geotiff.tif": lambda f: picture(data / "geotiff/cog_utm21_uint16.tif", f, 5),
        "pyramid.nc": lambda f: grid(f, 7200, 14400),
    }.items():
        if not (out / name).exists():
            how(out / "unfinished")
            (out / "unfinished").rename(out / name)


# What is measured.


def opened(kind, file, chunks):
    import xarray as xr

    if kind == "grib":
        return xr.open_dataset(file, engine="cfgrib", backend_kwargs={"indexpath": ""}, chunks=chunks)
    if kind == "geotiff":
        import rioxarray

        if chunks is not None:
            chunks = {k: v for k, v in chunks.items() if k != "band"}
        array = rioxarray.open_rasterio(file, chunks=chunks, lock=False if chunks else None)
        return array.squeeze("band", drop=True).to_dataset(name="band_1")
    # The numbers as they are stored: what is quickest, and what ours keeps too.
    return xr.open_dataset(file, mask_and_scale=kind != "netcdf", decode_times=False, chunks=chunks)


def main_variable(dataset):
    return max(dataset.data_vars, key=lambda name: (dataset[name].size, name))


def ours(repository):
    import icechunk
    import zarr

    storage = icechunk.local_filesystem_storage(str(repository))
    store = icechunk.Repository.open(storage).readonly_session("main").store
    return zarr.open_group(store, mode="r")


def largest(group):
    # Of several as large, the last by name: in which order they come is not fixed.
    return max(group.arrays(), key=lambda named: (named[1].size, named[0]))[1]


def layout(repository):
    """Of the largest array of each level, finest first."""
    group = ours(repository)
    levels = sorted((int(name) for name, _ in group.groups() if name.isdigit()))
    arrays = [largest(group)] + [largest(group[str(k)]) for k in levels]
    return [
        {"shape": a.shape, "chunks": a.chunks, "shards": a.shards, "codecs": [c.to_dict() for c in a.compressors]}
        for a in arrays
    ]


def encoding(how, shape):
    """What xarray is told of an array of these lengths; axes of one that it lacks are left out."""
    from zarr.codecs import BloscCodec, ZstdCodec

    of = {"blosc": BloscCodec, "zstd": ZstdCodec}
    axes = range(len(how["shape"]))
    if len(how["shape"]) > len(shape):
        axes = [i for i in axes if how["shape"][i] > 1]
    pick = lambda lengths: tuple(lengths[i] for i in axes)
    return {
        "chunks": pick(how["chunks"]),
        "shards": pick(how["shards"]),
        "compressors": [of[c["name"]].from_dict(c) for c in how["codecs"]],
    }


def write(kind, file, out, levels, dask):
    import dask as d

    d.config.set(scheduler="threads")
    plain = opened(kind, file, None)
    name = main_variable(plain)
    dims, shape = plain[name].dims, plain[name].shape
    plain.close()
    how = encoding(levels[0], shape)
    dataset = opened(kind, file, dict(zip(dims, how["shards"])) if dask else None)
    for variable in dataset.variables.values():
        variable.encoding = {k: v for k, v in variable.encoding.items() if k == "_FillValue"}
    to_zarr = dict(mode="w", zarr_format=3, consolidated=False)
    dataset.to_zarr(out, encoding={name: how}, **to_zarr)
    for level, how in enumerate(levels[1:], 1):
        # Each from the one before, which is quicker than from the first one each time.
        dataset = dataset[[name]].coarsen({dims[-2]: 2, dims[-1]: 2}, boundary="pad").mean(keep_attrs=True)
        how = encoding(how, dataset[name].shape)
        dataset = dataset.chunk(dict(zip(dims, how["shards"]))).persist() if dask else dataset.load()
        dataset[name].encoding = {}
        dataset.to_zarr(out, group=str(level), encoding={name: how}, **to_zarr)


def write_ndpyramid(file, out, levels):
    """`ndpyramid.pyramid_coarsen`, which makes every level of the first one."""
    import dask as d
    import ndpyramid

    d.config.set(scheduler="threads")
    dims = ["lat", "lon"]
    dataset = opened("pyramid", file, dict(zip(dims, levels[0]["shards"])))
    name = main_variable(dataset)
    tree = ndpyramid.pyramid_coarsen(
        dataset, factors=[2**k for k in range(len(levels))], dims=dims, boundary="pad"
    )
    layouts = {}
    for k, how in enumerate(levels):
        node = tree[f"/{k}"].to_dataset()
        for variable in node.variables.values():
            variable.encoding = {}
        layouts[f"/{k}"] = {name: encoding(how, node[name].shape)}
        tree[f"/{k}"].dataset = node.chunk(dict(zip(dims, how["shards"])))
    tree.to_zarr(out, mode="w", zarr_format=3, consolidated=False, encoding=layouts)


def decode(kind, file, dask):
    started = time.perf_counter()
    dataset = opened(kind, file, {} if dask else None)
    name = main_variable(dataset)
    nbytes = dataset[name].load().nbytes
    print(json.dumps({"seconds": time.perf_counter() - started, "bytes": nbytes}))


def same(kind, file, out, repository):
    """Every value of both, to six digits; levels of a pyramid by areas, from our level 0."""
    import zarr

    group, theirs = ours(repository), zarr.open_group(out, mode="r")
    # ndpyramid has its first level in a group as well.
    a, b = largest(group), largest(theirs["0"] if "0" in theirs else theirs)
    if kind not in ("pyramid", "ndpyramid"):
        return check("level 0", a[:].squeeze(), b[:].squeeze())
    # Python writes NaN where the file has its fill value, 1e20.
    values, others = a[:].astype("f8"), b[:].astype("f8")
    for array in (values, others):
        array[array > 1e19] = np.nan
    check("level 0", values, others)
    edges = np.radians(np.linspace(-90, 90, values.shape[0] + 1))
    weights = np.diff(np.sin(edges))[:, None] * np.ones(values.shape[1])
    weights[np.isnan(values)] = 0
    sums = np.nan_to_num(values) * weights
    for level in range(1, sum(1 for _ in group.groups()) + 1):
        sums, weights = halved(sums), halved(weights)
        with np.errstate(invalid="ignore"):
            expected = sums / weights
        got = largest(group[str(level)])[:].astype("f8")
        got[got > 1e19] = np.nan
        check(f"level {level}", got, expected, 1e-6)
        # Python's means are not weighted by area and means of means: near, not equal.
        other = largest(theirs[str(level)])
        if other.shape != got.shape:
            raise SystemExit(f"level {level}: shapes {got.shape} and {other.shape}")
        other = other[:].astype("f8")
        both = np.isfinite(other) & np.isfinite(got) & (other < 1e19)
        if np.nanmedian(np.abs(other[both] - got[both])) > 0.5:
            raise SystemExit(f"level {level}: Python's means are others altogether")


def halved(a):
    a = np.pad(a, [(0, n % 2) for n in a.shape])
    return a[::2, ::2] + a[1::2, ::2] + a[::2, 1::2] + a[1::2, 1::2]


def check(what, a, b, digits=1e-6):
    if a.shape != b.shape:
        raise SystemExit(f"{what}: shapes {a.shape} and {b.shape}")
    if not np.allclose(a, b, rtol=digits, atol=1e-12, equal_nan=True):
        wrong = ~np.isclose(a, b, rtol=digits, atol=1e-12, equal_nan=True)
        at = tuple(int(i[0]) for i in np.nonzero(wrong))
        raise SystemExit(f"{what}: {wrong.sum()} of {a.size} values differ, first at {at}: {a[at]} and {b[at]}")


def main():
    what, *rest = sys.argv[1:]
    if what == "make":
        return make(*rest)
    if what == "layout":
        return pathlib.Path(rest[1]).write_text(json.dumps(layout(rest[0])))
    kind, file = rest[0].split(":", 1)
    if what == "decode":
        return decode(kind, file, rest[1] == "dask")
    if what == "same":
        return same(kind, file, rest[1], rest[2])
    levels = json.loads(pathlib.Path(rest[2]).read_text())
    if kind == "ndpyramid":
        return write_ndpyramid(file, rest[1], levels)
    return write(kind, file, rest[1], levels, rest[3] == "dask")


if __name__ == "__main__":
    main()
    # Without the libraries' own teardown: several copies of HDF5 in one process quarrel over it.
    sys.stdout.flush()
    os._exit(0)
