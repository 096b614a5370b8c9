"""The bottom layer: Debian's Python, its libraries, CA certificates. No shell, no apt, no set-uid.

Debian has no pinned snapshot to build from, so the layer is kept by its recipe and its digest
tells which package versions went in (they are listed in var/lib/dpkg/status.d, for scanners).
"""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from remit.images.bytecode import compile_inside
from remit.images.layer import Layer, epoch_seconds, load_layer, write_layer
from remit.images.machine import Machine, this_machine
from remit.images.programs import ensure_mmdebstrap, run
from remit.images.store import Store, builder_digest, digest_of

SUITE = "bookworm"
PACKAGES = (
    "base-files", "ca-certificates", "libbz2-1.0", "libc-bin", "libc6", "libexpat1", "libffi8",
    "libgcc-s1", "liblzma5", "libpython3.11-stdlib", "libsqlite3-0", "libssl3", "libstdc++6",
    "libuuid1", "netbase", "python3.11-minimal", "zlib1g",
)  # fmt: skip
KEPT = (
    "etc/debian_version", "etc/host.conf", "etc/os-release", "etc/protocols", "etc/services",
    "usr/bin/python3.11", "usr/lib/locale/C.utf8", "usr/lib/os-release", "usr/lib/python3.11",
)  # fmt: skip
# Parts of the standard library and of libraries that no server of ours reaches.
DROPPED = (
    "distutils", "lib2to3", "pydoc_data", "sitecustomize.py", "test", "turtle.py", "venv",
)  # fmt: skip
DROPPED_LIBRARIES = ("engines-3", "gconv", "krb5")
USER_ID = 65532
ACCOUNTS = {
    "etc/passwd": f"root:x:0:0:root:/:/none\nremit:x:{USER_ID}:{USER_ID}:remit:/tmp:/none\n",
    "etc/group": f"root:x:0:\nremit:x:{USER_ID}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n",
}
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
BUILDER = ("base", "bytecode", "layer", "machine")
FOLDERS = ("dev", "proc", "run", "sys", "tmp", "var/tmp")


def base_layer(store: Store) -> Layer:
    """Return the base layer, built when its recipe is new."""
    key = digest_of(builder_digest(*BUILDER), SUITE, this_machine().image, str(epoch_seconds()), *PACKAGES)

    def make(target: Path) -> None:
        with store.scratch() as folder:
            build_base(folder, target)

    return load_layer(store.file(f"layers/base-{key[:24]}.tar", make))


def build_base(folder: Path, target: Path) -> None:
    """Extract the packages, keep what is on the list, compile, write."""
    ensure_mmdebstrap()
    debian, root = folder / "debian", folder / "root"
    run((
        "mmdebstrap", "--quiet", "--variant=extract", "--mode=root", "--format=directory",
        "--skip=cleanup/apt/cache", f"--include={','.join(PACKAGES)}", SUITE, str(debian),
    ))  # fmt: skip
    root.mkdir()
    keep(debian, root, kept_paths(this_machine()))
    add_own_files(debian, root)
    list_packages(debian, root)
    compile_inside(root, "/usr/lib/python3.11")
    write_layer(root, (".",), target)


def kept_paths(machine: Machine) -> tuple[str, ...]:
    """Name what goes from Debian into the layer."""
    loader = ("lib64",) if machine.image == "amd64" else ("lib/ld-linux-aarch64.so.1",)
    return (*KEPT, *loader, f"lib/{machine.library}", f"usr/lib/{machine.library}")


def keep(debian: Path, root: Path, paths: Iterable[str]) -> None:
    """Copy the named paths, without the parts that are dropped, and every copyright note."""
    for name in paths:
        source, target = debian / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, target, symlinks=True, ignore=dropped)
        else:
            shutil.copy2(source, target, follow_symlinks=False)
    for note in sorted(debian.glob("usr/share/doc/*/copyright")):
        target = root / note.relative_to(debian)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(note, target)


def dropped(folder: str, children: list[str]) -> set[str]:
    """Name the children that do not go in; only the top of each library tree is pruned."""
    if folder.endswith("/python3.11"):
        return set(DROPPED) & set(children)
    return set(DROPPED_LIBRARIES) & set(children) if folder.endswith("-linux-gnu") else set()


def add_own_files(debian: Path, root: Path) -> None:
    """Add accounts, the CA bundle that a maintainer script would make, and empty folders."""
    for name, text in ACCOUNTS.items():
        (root / name).write_text(text)
    certificates = sorted((debian / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    bundle = root / CERTIFICATES
    bundle.parent.mkdir(parents=True)
    bundle.write_text("".join(certificate.read_text() for certificate in certificates))
    (root / "usr/bin/python3").symlink_to("python3.11")
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)


def list_packages(debian: Path, root: Path) -> None:
    """Write the control data of each package that has something in the layer."""
    folder = root / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    for package in sorted((debian / "var/cache/apt/archives").glob("*.deb")):
        if any((root / name).is_file() for name in files_of(package)):
            name = package.name.partition("_")[0]
            control = run(("dpkg-deb", "--field", str(package)))
            (folder / name).write_text(f"{control.rstrip()}\nStatus: install ok installed\n")


def files_of(package: Path) -> list[str]:
    """Name a package's files, its documents aside."""
    content = subprocess.Popen(("dpkg-deb", "--fsys-tarfile", package), stdout=subprocess.PIPE)
    listing = subprocess.run(("tar", "--list"), stdin=content.stdout, capture_output=True, text=True, check=True)
    content.communicate()
    names = (line.removeprefix("./") for line in listing.stdout.splitlines())
    return [name for name in names if not name.startswith("usr/share/doc/")]
