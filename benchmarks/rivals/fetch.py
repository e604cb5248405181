"""Put the rivals where the benchmark looks for them: `python -m benchmarks.rivals.fetch [NAME ...]`.

Virtual environments with exactly the locked versions, jars by Maven, and the Java jobs compiled.
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.rivals.engines import HERE, PLACE

PYTHON = ("bytewax", "quix", "pathway", "faust")
JAVA = ("flink", "kafka_streams")

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def main() -> None:
    """Fetch those named, or all; one that can't be had ends nothing."""
    for name in sys.argv[1:] or [*PYTHON, *JAVA]:
        try:
            _python(name) if name in PYTHON else _java(name)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{name}: not available here: {error}", file=sys.stderr)


def _python(name: str) -> None:
    venv = PLACE / name / "venv"
    if not venv.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    locked = HERE / "python" / f"{name}.txt"
    pip = [str(venv / "bin" / "pip"), "install", "--quiet", "--require-hashes", "--requirement", str(locked)]
    subprocess.run(pip, check=True)


def _java(name: str) -> None:
    place = PLACE / name
    if not (place / "jars").exists():
        maven = ["mvn", "--quiet", "--batch-mode", "--no-transfer-progress", _COPY, "-DincludeScope=runtime"]
        subprocess.run([*maven, f"-DoutputDirectory={place / 'jars'}"], cwd=HERE / name, check=True)
    (place / "classes").mkdir(exist_ok=True)
    sources = [str(one) for folder in (HERE / "java" / "rules", HERE / name / "src") for one in _java_files(folder)]
    subprocess.run(["javac", "-d", str(place / "classes"), "-cp", f"{place / 'jars'}/*", *sources], check=True)


def _java_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.java"))


if __name__ == "__main__":
    main()
