#!/bin/sh
# What code and its tests may import in the sandbox, and C++'s headers, precompiled: libraries.sh DIRECTORY PIP-INSTALL-COMMAND…
# Run in the root of the repository, with the Python whose packages these are to be.
set -eu
directory=$1
shift
install() {
  packages=$1
  shift
  mkdir -p "$directory/$packages"
  "$@" --quiet --upgrade --constraint constraints.txt --target "$directory/$packages" $names
}
names="pytest" install standard "$@"
names="pytest numpy scipy sympy pandas networkx sortedcontainers" install scientific "$@"
if command -v g++ >/dev/null; then
  header=$(echo '#include <bits/stdc++.h>' | g++ -M -x c++ - | tr ' ' '\n' | grep '/bits/stdc++\.h$' | head -n 1)
  for standard in gnu++20 gnu++17; do
    mkdir -p "$directory/headers/$standard/bits"
    # The options are those of sandbox/compilers.py: a header that was compiled otherwise is passed over.
    g++ -O2 -pipe -w "-std=$standard" -x c++-header "$header" -o "$directory/headers/$standard/bits/stdc++.h.gch"
  done
fi
chmod -R a+rX "$directory"
