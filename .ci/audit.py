"""Read pip-audit's JSON report on standard input; say plainly what was audited and what was not.

pip-audit says "No known vulnerabilities found" also when it could look up nothing: a mirror of the package index may
have no advisories. So a report counts only for the packages that it didn't skip. Exit 1 on a known vulnerability.
"""

import json
import sys


def main() -> int:
    """Print the verdict, a line for each vulnerable package."""
    text = sys.stdin.read()
    if not text.strip():
        print("NOT AUDITED: pip-audit gave no report (no network, or the advisories can't be reached)")
        return 0
    packages = json.loads(text)["dependencies"]
    audited = [package for package in packages if "skip_reason" not in package]
    vulnerable = [package for package in audited if package["vulns"]]
    for package in vulnerable:
        ids = ", ".join(vulnerability["id"] for vulnerability in package["vulns"])
        print(f"VULNERABLE: {package['name']} {package['version']}: {ids}")
    skipped = len(packages) - len(audited)
    if not audited:
        print(f"NOT AUDITED: the advisories can't be reached for any of {skipped} packages")
    else:
        print(f"{len(audited)} packages audited, {len(vulnerable)} vulnerable, {skipped} not looked up")
    return 1 if vulnerable else 0


sys.exit(main())
