"""A copy of the sources in which a test adds files, and the programs built from it."""

import os
import shutil
import subprocess

import weir

NO_SOURCES = shutil.ignore_patterns("build*", ".git", "__pycache__", ".hypothesis")
BUILD_LIMIT_SECONDS = 600


def run(*command):
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True, text=True, timeout=BUILD_LIMIT_SECONDS, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Checkout:
    def __init__(self, folder):
        self.folder = folder
        self.build_folder = folder / "build"
        shutil.copytree(weir.ROOT, folder, ignore=NO_SOURCES)

    def build(self, *programs):
        """Configures (again) and builds; gives the folder of the programs."""
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        run("cmake", "-S", self.folder, "-B", self.build_folder, *generator,
            "-DCMAKE_BUILD_TYPE=Debug", "-DWEIR_WERROR=ON", "-DWEIR_TESTS=OFF")
        run("cmake", "--build", self.build_folder, "--target", *programs, "--parallel", os.cpu_count())
        return self.build_folder / "bin"
