#!/bin/sh
# Builds liboqs into /opt/liboqs, with SLH-DSA only: everything else that we use is in `cryptography`.
#   liboqs.sh ARCHIVE
set -eu
algorithms=
for hash in sha2 shake; do
  for set in 128s 128f 192s 192f 256s 256f; do
    algorithms="$algorithms${algorithms:+;}SIG_slh_dsa_pure_${hash}_$set"
  done
done
mkdir source
tar --extract --gzip --file "$1" --directory source --strip-components 1
cmake -S source -B build -G Ninja \
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/opt/liboqs -DCMAKE_INSTALL_LIBDIR=lib \
  -DBUILD_SHARED_LIBS=ON -DOQS_BUILD_ONLY_LIB=ON -DOQS_USE_OPENSSL=OFF \
  "-DOQS_MINIMAL_BUILD=$algorithms"
ninja -C build install
# Only the library is needed to run.
rm -rf /opt/liboqs/include /opt/liboqs/lib/cmake /opt/liboqs/lib/pkgconfig
