#!/usr/bin/env python3
"""Gathers the first inputs of the fuzz targets into fuzz/seeds (which git ignores).

    python3 fuzz/seed.py [SAMPLE_DATA]

They are the readers' own fixtures and, where the sample data is beside the
repository, its files below 64 kB. What fuzzing found to reach new code is kept,
minimised, in fuzz/corpus.
"""

import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 64 << 10
READERS = {
    "netcdf3": lambda head: head[:3] == b"CDF",
    "hdf5": lambda head: head[:8] == b"\x89HDF\r\n\x1a\n",
    "grib": lambda head: b"GRIB" in head,
    "geotiff": lambda head: head[:2] in (b"II", b"MM"),
}
TEXTS = {
    "table": [
        'time,lat,lon,"a ""b"""\nUTC,degrees_north,degrees_east,m\n2020-01-01T00:00:00Z,1,2,3.5\n2020-01-02,1,2,"x\ny"\n',
        "#YY  MM DD hh mm WDIR\n#yr  mo dy hr mn degT\n2018 08 01 15 10 160\n2018 08 01 15 00  MM\n",
        "# Summary\n\r# a;   +/- ;  c\n\r# id; sigma; deg\n\r# --; ---; ---\n\r1_x;  1.5; -2\n\r2_y; nan; ...\n\r",
        "zeit;breite;laenge;wert\n01.02.2020 13:00;52,5;13,4;1,25",
    ],
    "cf_time": ["days since 1970-01-01", "hours since 0000-01-01 00:00:00 +01:30", "months since 1900-1-1T0Z"],
    "units": ["kg m-2 s-1", "degC", "m**2 s**-2", "W/m^2", "0.01 hPa", "J.kg-1"],
    "codec_chain": ["float32;little;64,64;;zstd", "int16;big;2,3;1,0;crc32c,shuffle:2,delta,inflate"],
    "wkt": ["POINT(4.9 52.4)", "MULTIPOINT((1 2),(3 4))", "point Z (1e1 -2 3)"],
    "shard_index": ["\0" * 36, "\0" * 32 + "abcd", "\x7f" * 64],
}


def put(target, name, content):
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def main():
    sample = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "shared" / "data"
    shutil.rmtree(HERE / "seeds", ignore_errors=True)
    for root in (HERE.parent / "formats" / "tests" / "fixtures", sample):
        for path in sorted(p for p in root.rglob("*") if p.is_file() and p.stat().st_size <= LIMIT):
            content = path.read_bytes()
            name = "-".join(path.relative_to(root).parts)
            for target, is_kind in READERS.items():
                if is_kind(content[:512]):
                    put(target, name, content)
            if "malformed" in path.parts and len(content) <= LIMIT:
                put("open", name, content)
            if path.suffix in (".csv", ".txt", ".spec", ".drift"):
                put("table", name, content)
            if path.name in ("zarr.json", ".zmetadata", ".zarray"):
                put("zarr_metadata", name, content)
    for target, texts in TEXTS.items():
        for number, text in enumerate(texts):
            put(target, f"text-{number}", text.encode("latin-1"))


if __name__ == "__main__":
    main()
